//! `connections`.

use control::vici::Message;

use super::{Loader, Options};
use crate::swanctl::session::Failure;

pub(super) fn load(loader: &mut Loader<'_, '_>, _: &Options) -> Result<(), Failure> {
    let mut gone = loader.known("get-conns", "conns")?;
    let (mut loaded, mut failed) = (0, 0);
    for name in loader.settings.sections("connections") {
        gone.retain(|known| *known != name);
        let section = format!("connections.{name}");
        let result = match loader.message(&section) {
            Ok(message) => {
                let mut request = Message::new();
                request.push_section(&name, message);
                let answer = loader.ask("load-conn", &request)?;
                answer.map_err(|error| format!("{error}{}", loader.blame(&section, &error)))
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(_) => {
                loaded += 1;
                loader.say(&format!("loaded connection '{name}'"))?;
            }
            Err(error) => {
                failed += 1;
                loader.failed(&format!("loading connection '{name}' failed: {error}"));
            }
        }
    }
    loader.finish("connections", "unload-conn", loaded, failed, &gone)
}
