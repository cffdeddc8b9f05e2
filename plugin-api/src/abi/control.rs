//! `control/1` and `listener/1`.

use std::sync::{Arc, Mutex, PoisonError};

use abi_stable::std_types::{RSlice, RStr, RString, RVec};

use super::object::interface;
use super::offer::Checked;
use crate::feature::Constructor;
use crate::{Control, Host, Listener, PluginError, Reply, Running};

interface! {
    /// Makes a [`Control`].
    ControlMaker1("control/1") holds (Constructor<dyn Control>, Arc<dyn Host>) {
        fn make(this) -> Control1 {
            let (make, host) = this;
            Ok(Control1::new((make(Arc::clone(host))?, Arc::clone(host))))
        }
    }
}

interface! {
    /// See [`Control`]; the host is the one that the plugin was loaded with.
    Control1("control-object/1") holds (Arc<dyn Control>, Arc<dyn Host>) {
        fn start(this) -> Running1 {
            let (control, host) = this;
            Ok(Running1::new(Mutex::new(Some(control.start(Arc::clone(host))?))))
        }
    }
}

type HeldRunning = Mutex<Option<Box<dyn Running>>>;

interface! {
    /// See [`Running`].
    Running1("running/1") holds HeldRunning {
        fn stop(this) -> () {
            let running = this.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(_running) = running { Running::stop(_running) }
            Ok(())
        }
    }
}

interface! {
    /// See [`Reply`].
    Reply1("reply/1") holds Arc<dyn Reply> {
        fn event(this, name: RStr<'_>, message: RSlice<'_, u8>) -> bool {
            Ok(this.event(name.as_str(), message.as_slice()))
        }
        fn done(this, message: RSlice<'_, u8>) -> () {
            this.done(message.as_slice());
            Ok(())
        }
    }
}

interface! {
    /// Makes a [`Listener`].
    ListenerMaker1("listener/1") holds (Constructor<dyn Listener>, Arc<dyn Host>) {
        fn make(this) -> Listener1 {
            let (make, host) = this;
            make(Arc::clone(host)).map(Listener1::new)
        }
    }
}

interface! {
    /// See [`Listener`].
    Listener1("listener-object/1") holds Arc<dyn Listener> {
        fn event(this, name: RStr<'_>, message: RSlice<'_, u8>) -> () {
            this.event(name.as_str(), message.as_slice());
            Ok(())
        }
        fn wants(this) -> RVec<RString> { Ok(this.wants().into_iter().map(RString::from).collect()) }
    }
}

/// The daemon's side; the host given is that of the plugin, which has its own way to it already.
pub(super) fn control(maker: Checked<ControlMaker1>) -> Constructor<dyn Control> {
    Box::new(move |_host| Ok(Arc::new(RemoteControl(maker.make()?))))
}

/// See [`control`].
pub(super) fn listener(maker: Checked<ListenerMaker1>) -> Constructor<dyn Listener> {
    Box::new(move |_host| Ok(Arc::new(RemoteListener(maker.make()?))))
}

struct RemoteControl(Control1);

impl Control for RemoteControl {
    fn start(&self, _host: Arc<dyn Host>) -> Result<Box<dyn Running>, PluginError> {
        Ok(Box::new(RemoteRunning(self.0.start()?)))
    }
}

struct RemoteRunning(Running1);

impl Running for RemoteRunning {
    fn stop(self: Box<Self>) {
        // A plugin that panics while it stops has stopped.
        let _ = self.0.stop();
    }
}

struct RemoteListener(Listener1);

impl Listener for RemoteListener {
    fn event(&self, name: &str, message: &[u8]) {
        // The listener's trouble is its own; whoever caused the event can do nothing about it.
        let _ = self.0.event(name.into(), message.into());
    }

    fn wants(&self) -> Vec<String> {
        self.0
            .wants()
            .map(|names| names.into_iter().map(String::from).collect())
            .unwrap_or_default()
    }
}

/// The daemon's side of where an answer goes.
pub(super) struct RemoteReply(pub(super) Reply1);

impl Reply for RemoteReply {
    fn event(&self, name: &str, message: &[u8]) -> bool {
        self.0.event(name.into(), message.into()).unwrap_or(false)
    }

    fn done(&self, message: &[u8]) {
        let _ = self.0.done(message.into());
    }
}
