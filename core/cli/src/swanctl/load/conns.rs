//! `connections`.

use config::swanctl_conf::keys::Section;

use super::items::{Kind, each};
use super::loader::Loader;
use crate::swanctl::session::Failure;

pub(super) fn load(loader: &mut Loader<'_>) -> Result<(), Failure> {
    let known = loader.known("get-conns", "conns")?;
    let what = Kind {
        path: "connections",
        singular: "connection",
        section: Section::Connection,
        load: "load-conn",
        unload: "unload-conn",
    };
    each(loader, &what, known, |loader, path| {
        loader.message(path, Section::Connection)
    })
}
