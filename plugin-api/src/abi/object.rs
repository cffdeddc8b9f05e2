//! Objects and their tables of functions.

use abi_stable::StableAbi;
use abi_stable::type_layout::TypeLayout;

use crate::guard;

/// A value of one side, held by the other, which cannot look into it.
#[repr(C)]
#[derive(StableAbi)]
pub struct Object {
    data: *mut (),
    drop: extern "C" fn(*mut ()),
}

// SAFETY: `new` accepts only values that may be sent.
unsafe impl Send for Object {}
// SAFETY: `new` accepts only values that may be shared.
unsafe impl Sync for Object {}

impl Object {
    /// Hands a value out.
    pub(super) fn new<T: Send + Sync + 'static>(value: T) -> Self {
        extern "C" fn drop_box<T>(data: *mut ()) {
            // SAFETY: `data` came from `Box::<T>::into_raw` below, and `Object::drop` runs once.
            guard::drop_quietly(unsafe { Box::from_raw(data.cast::<T>()) });
        }
        Self {
            data: Box::into_raw(Box::new(value)).cast(),
            drop: drop_box::<T>,
        }
    }

    /// The value.
    ///
    /// # Safety
    ///
    /// `T` must be the type it was made of, or one whose layout was found compatible.
    pub(super) unsafe fn get<T>(&self) -> &T {
        // SAFETY: the pointer is valid as long as the object; the type is the caller's promise.
        unsafe { &*self.data.cast::<T>() }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        (self.drop)(self.data);
    }
}

/// A table of functions with a versioned name.
pub trait Interface: StableAbi + Send + Sync + 'static {
    /// Its name, `ke/1`.
    const NAME: &'static str;
}

/// A layout on its way through the boundary. The version of abi_stable in a library's header vouches for its own.
#[repr(transparent)]
#[derive(Clone, Copy, StableAbi)]
pub struct Layout(#[sabi(unsafe_opaque_field)] pub(super) &'static TypeLayout);

impl Layout {
    /// That of a type.
    pub(super) const fn of<T: StableAbi>() -> Self {
        Self(T::LAYOUT)
    }
}

/// Declares a table of functions: the boundary's struct, on the side of the implementation functions that find their
/// object and catch panics, and on the other side methods to call them.
macro_rules! interface {
    (
        $(#[$meta:meta])*
        $name:ident($interface:literal) holds $held:ty {
            $( fn $method:ident($this:ident $(, $arg:ident: $ty:ty)*) -> $out:ty $body:block )*
        }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub struct $name {
            object: $crate::abi::object::Object,
            $( $method: extern "C" fn(&$crate::abi::object::Object $(, $ty)*) -> $crate::abi::types::Outcome<$out>, )*
        }

        impl $crate::abi::object::Interface for $name {
            const NAME: &'static str = $interface;
        }

        impl $name {
            /// Hands an implementation out. Of interfaces that have a newer version, only plugins of then do.
            #[allow(dead_code)]
            pub(super) fn new(held: $held) -> Self {
                $(
                    extern "C" fn $method(
                        object: &$crate::abi::object::Object
                        $(, $arg: $ty)*
                    ) -> $crate::abi::types::Outcome<$out> {
                        $crate::abi::types::outcome(|| {
                            // SAFETY: `new` pairs this function with an object of this type.
                            let $this: &$held = unsafe { object.get() };
                            $body
                        })
                    }
                )*
                Self { object: $crate::abi::object::Object::new(held), $( $method, )* }
            }

            $(
                pub(super) fn $method(&self $(, $arg: $ty)*) -> Result<$out, $crate::PluginError> {
                    $crate::abi::types::result((self.$method)(&self.object $(, $arg)*))
                }
            )*
        }
    };
}

pub(super) use interface;
