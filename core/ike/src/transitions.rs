//! States with a declared table of transitions, so that a state machine can be read, printed and tested.

/// An event that the state does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} is impossible in state {state}")]
pub(crate) struct InvalidTransition {
    /// The state it came in.
    pub(crate) state: &'static str,
    /// The event.
    pub(crate) event: &'static str,
}

/// Declares a state enum and, for each event, which states it leads from and to.
macro_rules! states {
    (
        $(#[$meta:meta])* $vis:vis enum $type:ident { $($(#[$doc:meta])* $state:ident $name:literal,)+ }
        events { $($(#[$event_doc:meta])* $event:ident: $($from:ident)|+ => $to:ident;)+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $type { $($(#[$doc])* $state,)+ }

        impl $type {
            /// All states.
            pub const ALL: &'static [Self] = &[$(Self::$state,)+];

            /// The name in lists of SAs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$state => $name,)+ }
            }

            $(
                $(#[$event_doc])*
                pub(crate) fn $event(self) -> Result<Self, $crate::transitions::InvalidTransition> {
                    match self {
                        $(Self::$from)|+ => Ok(Self::$to),
                        #[allow(unreachable_patterns)]
                        _ => Err($crate::transitions::InvalidTransition {
                            state: self.name(),
                            event: stringify!($event),
                        }),
                    }
                }
            )+

            /// The table as a graph in the DOT language.
            pub fn dot() -> String {
                let mut dot = format!("digraph {} {{\n", stringify!($type));
                $($(dot.push_str(&format!(
                    "    {} -> {} [label=\"{}\"];\n",
                    Self::$from.name(), Self::$to.name(), stringify!($event)
                ));)+)+
                dot.push_str("}\n");
                dot
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

pub(crate) use states;
