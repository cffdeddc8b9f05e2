//! The shape that all registries share.

/// Declares a registry: a newtype with named constants, `name()` and a `Display` that falls back to the number.
macro_rules! registry {
    ($(#[$meta:meta])* $vis:vis struct $type:ident($int:ty) {
        $($(#[$doc:meta])* $constant:ident = $value:literal $name:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $type(pub $int);

        #[allow(missing_docs)]
        impl $type {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*
        }

        impl $type {
            /// Every registered value, in the order of its declaration.
            pub const ALL: &'static [Self] = &[$(Self::$constant,)*];

            /// The registered name, as it appears in log lines.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($name),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, "({})", self.0),
                }
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }

        impl From<$int> for $type {
            fn from(value: $int) -> Self {
                Self(value)
            }
        }

        impl From<$type> for $int {
            fn from(value: $type) -> Self {
                value.0
            }
        }
    };
}

pub(crate) use registry;
