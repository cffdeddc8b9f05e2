//! File and line of what is refused.

use config::swanctl_conf::check::{Mistake, What, mistakes};
use config::swanctl_conf::keys::Section;

use super::loader::Loader;

impl Loader<'_> {
    /// The mistakes of a section that cannot be sent or were refused, as lines that follow `loading … failed: `.
    ///
    /// The refusal comes first, with the place of what it names. The daemon stops at the first mistake, so other
    /// unknown keys follow.
    pub(super) fn blame(&self, path: &str, section: Section, refusal: &str) -> Vec<String> {
        let mut mistakes = mistakes(&self.settings, path, section);
        let (what, key) = refused(refusal);
        let first = mistakes
            .iter()
            .position(|mistake| Some(mistake.what) == what && Some(mistake.name.as_str()) == key)
            .map(|index| mistakes.remove(index).to_string());
        let place = first.or_else(|| {
            let place = key.and_then(|key| {
                // It may name one of several CHILD_SAs: `children.net.mode`.
                let exactly = self.settings.place(&format!("{path}.{key}"));
                exactly.or_else(|| self.find(path, key))
            });
            place.or_else(|| self.settings.place(path)).map(str::to_owned)
        });
        let refusal = match place {
            Some(place) => format!("{refusal} ({place})"),
            None => refusal.to_owned(),
        };
        let others = mistakes.iter().filter_map(other);
        std::iter::once(refusal).chain(others).collect()
    }

    /// The first place of a key in a section or below.
    fn find(&self, path: &str, key: &str) -> Option<&str> {
        let inner = self.settings.sections(path);
        let mut own = self.settings.keys(path).into_iter().chain(inner.iter().cloned());
        if own.any(|name| name == key) {
            return self.settings.place(&format!("{path}.{key}"));
        }
        inner
            .iter()
            .find_map(|name| self.find(&format!("{path}.{name}"), key))
    }
}

/// What a refusal complains of, and its name.
fn refused(refusal: &str) -> (Option<What>, Option<&str>) {
    let what = match refusal.split_once(": ") {
        Some(("unknown option" | "invalid attribute", _)) => Some(What::Key),
        Some(("invalid section", _)) => Some(What::Section),
        Some(("invalid value for" | "invalid addrs value", _)) => Some(What::Value),
        _ => None,
    };
    let rest = refusal.split_once(": ").map(|(_, rest)| rest);
    // `invalid attribute value for dns`.
    let rest = rest.or_else(|| refusal.rsplit_once(' ').map(|(_, rest)| rest));
    (
        what,
        rest.map(|rest| rest.split(',').next().unwrap_or(rest).trim()),
    )
}

/// Another mistake, in the words of the daemon. Values are its own business.
fn other(mistake: &Mistake) -> Option<String> {
    let name = &mistake.name;
    match mistake.what {
        What::Key => Some(format!("unknown option: {name}, config discarded ({mistake})")),
        What::Section => Some(format!("invalid section: {name} ({mistake})")),
        What::Value => None,
    }
}
