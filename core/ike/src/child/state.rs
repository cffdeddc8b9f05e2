//! The states of a CHILD_SA.

use crate::transitions::states;

states! {
    /// Where a CHILD_SA stands.
    pub enum ChildState {
        /// It is being negotiated.
        Created "CREATED",
        /// The kernel is being told.
        Installing "INSTALLING",
        /// It carries packets.
        Installed "INSTALLED",
        /// We asked the peer to delete it.
        Deleting "DELETING",
        /// It is gone as soon as the input is handled.
        Destroying "DESTROYING",
    }
    events {
        /// Its keys are known.
        install: Created => Installing;
        /// The kernel has it.
        installed: Installing => Installed;
        /// This end wants it gone, and tells the peer.
        delete: Installed | Deleting => Deleting;
        /// It failed or was deleted.
        destroy: Created | Installing | Installed | Deleting | Destroying => Destroying;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_installed_child_sa_is_deleted_with_a_message() {
        for state in ChildState::ALL {
            let expected = matches!(state, ChildState::Installed | ChildState::Deleting);
            assert_eq!(state.delete().is_ok(), expected, "{state}");
        }
    }

    #[test]
    fn the_graph_is_the_one_of_the_documentation() {
        let architecture = include_str!("../../../../ARCHITECTURE.md");
        for line in ChildState::dot().lines() {
            assert!(architecture.contains(line), "ARCHITECTURE.md lacks: {line}");
        }
    }
}
