//! What few IKE_SAs have, and the others take no room for.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};

use crate::task::Task;
use crate::timer::Timer;

/// A value that is allocated once it is changed, and given back by [`tidy`](Self::tidy) when it is empty again.
#[derive(Clone, Debug)]
pub(crate) struct Rare<T>(Option<Box<T>>);

/// A type with a value that means nothing.
pub(crate) trait Empty: Default + 'static {
    /// That value, to be looked at.
    fn empty() -> &'static Self;

    /// Whether this is such a value.
    fn is_empty(&self) -> bool;
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> From<T> for Rare<T> {
    fn from(value: T) -> Self {
        Self((!value.is_empty()).then(|| Box::new(value)))
    }
}

impl<T: Empty> Rare<T> {
    /// Gives the room back if there is nothing in it.
    pub(crate) fn tidy(&mut self) {
        if self.0.as_ref().is_some_and(|value| value.is_empty()) {
            self.0 = None;
        }
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => T::empty(),
        }
    }
}

impl<T: Empty> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl Empty for VecDeque<Task> {
    fn empty() -> &'static Self {
        static NONE: VecDeque<Task> = VecDeque::new();
        &NONE
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Empty for Vec<IpAddr> {
    fn empty() -> &'static Self {
        static NONE: Vec<IpAddr> = Vec::new();
        &NONE
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Empty for Vec<(Timer, Task)> {
    fn empty() -> &'static Self {
        static NONE: Vec<(Timer, Task)> = Vec::new();
        &NONE
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Empty for String {
        fn empty() -> &'static Self {
            static EMPTY: String = String::new();
            &EMPTY
        }

        fn is_empty(&self) -> bool {
            self.as_str().is_empty()
        }
    }

    #[test]
    fn it_takes_room_only_while_it_holds_something() {
        let mut text = Rare::<String>::default();
        assert_eq!((text.len(), text.0.is_none()), (0, true));
        text.push('x');
        text.tidy();
        assert_eq!(text.as_str(), "x");
        text.clear();
        assert!(text.0.is_some());
        text.tidy();
        assert!(text.0.is_none() && Rare::from(String::new()).0.is_none());
    }
}
