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
        /// It carries packets, and its successor is being negotiated.
        Rekeying "REKEYING",
        /// Its successor carries packets; what the peer sends by it is still taken.
        Rekeyed "REKEYED",
        /// We asked the peer to delete it.
        Deleting "DELETING",
        /// Both ends have deleted it after a rekeying; late packets are still taken.
        Deleted "DELETED",
        /// It is gone as soon as the input is handled.
        Destroying "DESTROYING",
    }
    events {
        /// Its keys are known.
        install: Created => Installing;
        /// The kernel has it.
        installed: Installing => Installed;
        /// This end wants a successor.
        rekey: Installed | Rekeying => Rekeying;
        /// The attempt failed.
        keep: Installed | Rekeying => Installed;
        /// The successor is there.
        succeed: Installed | Rekeying | Rekeyed => Rekeyed;
        /// The peer deletes the successor that it has made.
        take_back: Rekeyed => Installed;
        /// This end wants it gone, and tells the peer.
        delete: Installed | Rekeying | Rekeyed | Deleting => Deleting;
        /// Both ends know that it is gone.
        linger: Rekeyed | Deleting => Deleted;
        /// It failed or was deleted.
        destroy: Created | Installing | Installed | Rekeying | Rekeyed | Deleting | Deleted | Destroying => Destroying;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_is_deleted_with_a_message() {
        use ChildState as S;
        for state in S::ALL {
            let installed = [S::Installed, S::Rekeying, S::Rekeyed, S::Deleting];
            assert_eq!(state.delete().is_ok(), installed.contains(state), "{state}");
        }
    }

    #[test]
    fn a_rekeyed_child_sa_has_no_second_successor() {
        assert!(ChildState::Rekeyed.rekey().is_err());
        assert!(ChildState::Rekeyed.keep().is_err());
    }

    #[test]
    fn the_graph_is_the_one_of_the_documentation() {
        let architecture = include_str!("../../../../ARCHITECTURE.md");
        for line in ChildState::dot().lines() {
            assert!(architecture.contains(line), "ARCHITECTURE.md lacks: {line}");
        }
    }
}
