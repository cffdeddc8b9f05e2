//! Panics stop here: unwinding into code of another build is undefined, so every entry of the boundary catches.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use crate::log::{CONTROL, Group};
use crate::{ErrorKind, Host, PluginError};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a function; its panic becomes an error of kind [`Panicked`](ErrorKind::Panicked).
///
/// # Errors
///
/// The function's own, and its panic.
pub fn catch<T>(function: impl FnOnce() -> Result<T, PluginError>) -> Result<T, PluginError> {
    DEPTH.set(DEPTH.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(function));
    DEPTH.set(DEPTH.get() - 1);
    result.unwrap_or_else(|payload| {
        let place = PLACE
            .take()
            .map(|place| format!(" at {place}"))
            .unwrap_or_default();
        let message = format!("panicked{place}: {}", text(&*payload));
        // Dropping a payload runs foreign code, which might panic again.
        std::mem::forget(payload);
        Err(PluginError::new(ErrorKind::Panicked, message))
    })
}

/// Drops a value; a panic of its destructor is swallowed, for nobody could act on it.
pub(crate) fn drop_quietly<T>(value: T) {
    let _ = catch(|| {
        drop(value);
        Ok(())
    });
}

/// Sends this library's panics where somebody reads them: those caught at the boundary into their error, those of the
/// plugin's own threads into the daemon's log.
pub(crate) fn report_panics(host: &Arc<dyn Host>, plugin: &'static str) {
    static ONCE: Once = Once::new();
    let host = Arc::clone(host);
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            if DEPTH.get() > 0 {
                PLACE.set(Some(place));
                return;
            }
            let message = text(info.payload());
            host.log(
                Group::Dmn,
                CONTROL,
                &format!("a thread of plugin '{plugin}' panicked at {place}: {message}"),
            );
        }));
    });
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let error = catch::<()>(|| panic!("number {}", 7)).expect_err("it panics");
        assert_eq!(error.kind, ErrorKind::Panicked);
        assert!(error.message.ends_with("panicked: number 7"), "{}", error.message);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_caught_too() {
        let error = catch::<()>(|| std::panic::panic_any(PanicsOnDrop)).expect_err("it panics");
        assert!(error.message.ends_with("without a message"), "{}", error.message);
    }

    #[test]
    fn a_panicking_destructor_is_swallowed() {
        drop_quietly(PanicsOnDrop);
    }
}
