//! The macros for authors of plugins.

/// Makes a `cdylib` crate a plugin.
///
/// ```
/// # use plugin_api::{Feature, Host};
/// # use std::sync::Arc;
/// plugin_api::export_plugin! { name: "example", features: features }
///
/// fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
///     Vec::new()
/// }
/// ```
///
/// `name` is what stands in `charon.load` and in the file's name, `libcharon_<name>.so` with `_` for `-`. The version
/// is that of the plugin's crate.
#[macro_export]
macro_rules! export_plugin {
    (name: $name:literal, features: $features:path $(,)?) => {
        const _: () = {
            struct Plugin;

            impl $crate::abi::Exported for Plugin {
                const NAME: &'static str = $name;
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");

                fn features(host: &::std::sync::Arc<dyn $crate::Host>) -> ::std::vec::Vec<$crate::Feature> {
                    $features(host)
                }
            }

            // SAFETY: only one plugin has this name, so no other symbol of the library does.
            #[allow(unsafe_code)]
            #[unsafe(export_name = concat!("charon_plugin_", $name))]
            static ROOT: $crate::abi::LibHeader = $crate::abi::header::<Plugin>();

            // SAFETY: only one plugin has this name, so no other symbol of the library does.
            #[allow(unsafe_code)]
            #[unsafe(export_name = concat!("charon_origin_", $name))]
            static ORIGIN: $crate::abi::Origin = $crate::abi::Origin::OWN;
        };
    };
}

/// Writes a log line of the daemon; the text is only made if somebody wants it.
///
/// ```
/// # use plugin_api::{Host, log::Group};
/// # fn example(host: &std::sync::Arc<dyn Host>, count: u32) {
/// plugin_api::log!(host, Group::Ike, 1, "offering {count} methods");
/// # }
/// ```
#[macro_export]
macro_rules! log {
    ($host:expr, $group:expr, $level:expr, $($text:tt)+) => {{
        #[allow(unused_imports)]
        use $crate::Host as _;
        let (host, group, level) = (&$host, $group, $level);
        if host.log_enabled(group, level) {
            host.log(group, level, &::std::format!($($text)+));
        }
    }};
}
