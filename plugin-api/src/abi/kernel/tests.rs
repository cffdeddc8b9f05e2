use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use iana::{EncryptionAlgorithm, TrafficSelector};

use super::super::object::Object;
use super::*;
use crate::kernel::{
    CopyDscp, Direction, HwOffload, PolicyAction, PolicyPriority, SaLifetime, SaMode, UdpEncap,
};
use crate::log::Group;
use crate::{Reply, Secret};

/// What a back end was told, as text.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, text: String) -> Result<(), PluginError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        Ok(())
    }
}

impl KernelIpsec for Recorder {
    fn features(&self) -> KernelFeatures {
        KernelFeatures {
            require_udp_encap: true,
            tfc: false,
            marks: true,
            interfaces: true,
            hw_offload: true,
        }
    }
    fn knows(&self, protocol: Protocol) -> bool {
        protocol != Protocol::IKE
    }
    fn allocate_spi(&self, _: IpAddr, _: IpAddr, _: Protocol) -> Result<u32, PluginError> {
        Ok(7)
    }
    fn add_sa(&self, sa: &SaParameters) -> Result<(), PluginError> {
        self.note(format!("{sa:?}"))
    }
    fn update_sa(&self, _: &SaId, _: SocketAddr, _: SocketAddr, _: bool) -> Result<(), PluginError> {
        Ok(())
    }
    fn query_sa(&self, _: &SaId) -> Result<SaUsage, PluginError> {
        Ok(SaUsage::default())
    }
    fn delete_sa(&self, _: &SaId) -> Result<(), PluginError> {
        Ok(())
    }
    fn flush_sas(&self) -> Result<(), PluginError> {
        Ok(())
    }
    fn add_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        self.note(format!("{policy:?}"))
    }
    fn delete_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        self.note(format!("{policy:?}"))
    }
    fn flush_policies(&self) -> Result<(), PluginError> {
        Ok(())
    }
    fn bypass_socket(&self, _: RawFd, _: bool) -> Result<(), PluginError> {
        Ok(())
    }
    fn enable_udp_decap(&self, _: RawFd, _: bool, _: u16) -> Result<(), PluginError> {
        Ok(())
    }
    fn receive_esp(&self, received: &ReceivedEsp, packets: &mut [u8]) {
        for packet in packets.chunks_mut(received.segment) {
            packet.fill(received.tos + packet.len() as u8);
        }
    }
}

/// Packets of two octets.
fn received() -> ReceivedEsp {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    ReceivedEsp {
        local: nowhere,
        remote: nowhere,
        tos: 3,
        segment: 2,
    }
}

struct Nobody;

impl Host for Nobody {
    fn setting(&self, _: &str) -> Option<String> {
        None
    }
    fn log_enabled(&self, _: Group, _: i8) -> bool {
        false
    }
    fn log(&self, _: Group, _: i8, _: &str) {}
    fn submit(&self, _: &str, _: &[u8], _: Arc<dyn Reply>) {}
    fn kernel_event(&self, _: crate::kernel::KernelEvent) {}
    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

/// A back end as a daemon meets it that was built with the third version, the second, or the first.
fn all() -> [(Arc<Recorder>, Arc<dyn KernelIpsec>); 3] {
    let made = |version: u8| {
        let own = Arc::<Recorder>::default();
        let backend = Arc::clone(&own);
        let make: Constructor<dyn KernelIpsec> = Box::new(move |_| Ok(Arc::clone(&backend) as _));
        let host: Arc<dyn Host> = Arc::new(Nobody);
        let held = (make, Arc::clone(&host));
        // SAFETY: the objects are of the tables that they are taken for.
        let remote = unsafe {
            match version {
                1 => ipsec_1(Checked::new(Object::new(KernelIpsecMaker1::new(held)))),
                2 => ipsec_2(Checked::new(Object::new(KernelIpsecMaker2::new(held)))),
                _ => ipsec(Checked::new(Object::new(KernelIpsecMaker3::new(held)))),
            }
        };
        (own, remote(host).expect("it is made"))
    };
    [made(3), made(2), made(1)]
}

fn sa() -> SaParameters {
    SaParameters {
        id: SaId {
            src: Ipv4Addr::new(192, 0, 2, 1).into(),
            dst: Ipv4Addr::new(192, 0, 2, 2).into(),
            spi: 0xc000_0001,
            protocol: Protocol::ESP,
        },
        inbound: true,
        reqid: 3,
        mode: SaMode::Tunnel,
        src_ts: vec![TrafficSelector::subnet([10, 0, 0, 0].into(), 8)],
        dst_ts: Vec::new(),
        encryption: EncryptionAlgorithm::AES_GCM_16,
        encryption_key: Secret::new(vec![1; 36]),
        integrity: None,
        integrity_key: Secret::default(),
        encap: Some(UdpEncap {
            src_port: 4500,
            dst_port: 4501,
        }),
        esn: true,
        replay_window: 64,
        lifetime: SaLifetime::default(),
        tfc: 9,
        mark: Some((1, 2)),
        options: SaOptions::default(),
    }
}

fn policy() -> PolicyParameters {
    PolicyParameters {
        direction: Direction::Out,
        src_ts: TrafficSelector::subnet([10, 1, 0, 0].into(), 16),
        dst_ts: TrafficSelector::subnet([10, 2, 0, 0].into(), 16),
        action: PolicyAction::Protect,
        priority: PolicyPriority::Default,
        src: Ipv4Addr::new(192, 0, 2, 1).into(),
        dst: Ipv4Addr::new(192, 0, 2, 2).into(),
        reqid: 3,
        spi: 5,
        mode: SaMode::Tunnel,
        mark: Some((1, 2)),
        options: PolicyOptions::default(),
    }
}

fn demanding() -> (SaParameters, PolicyParameters) {
    let sa = SaParameters {
        options: SaOptions {
            if_id: 42,
            set_mark: Some((8, 15)),
            hw_offload: HwOffload::Auto,
            copy_df: false,
            copy_ecn: false,
            copy_dscp: CopyDscp::In,
        },
        ..sa()
    };
    let policy = PolicyParameters {
        options: PolicyOptions {
            if_id: 42,
            priority: 1000,
            interface: "eth0".into(),
            hw_offload: HwOffload::Packet,
            ..PolicyOptions::default()
        },
        ..policy()
    };
    (sa, policy)
}

#[test]
fn what_all_versions_have_crosses_in_all() {
    for (own, remote) in all() {
        remote.add_sa(&sa()).expect("added");
        remote.add_policy(&policy()).expect("added");
        remote.delete_policy(&policy()).expect("removed");
        let policy = format!("{:?}", policy());
        assert_eq!(own.said(), [format!("{:?}", sa()), policy.clone(), policy]);
        let mut packets = [9; 5];
        remote.receive_esp(&received(), &mut packets);
        let tos = packets[4] - 1;
        assert_eq!(packets.map(|octet| octet - tos), [2, 2, 2, 2, 1], "all came");
    }
}

#[test]
fn options_cross_in_the_second_version() {
    let [_, (own, remote), _] = all();
    assert_eq!(remote.features(), own.features());
    let (sa, policy) = demanding();
    remote.add_sa(&sa).expect("added");
    remote.add_policy(&policy).expect("added");
    assert_eq!(own.said(), [format!("{sa:?}"), format!("{policy:?}")]);
    let mut packets = [9; 3];
    remote.receive_esp(&received(), &mut packets);
    assert_eq!(packets, [5, 5, 4]);
}

#[test]
fn a_back_end_of_the_first_version_is_asked_for_nothing_that_it_has_not() {
    let [_, _, (own, remote)] = all();
    assert_eq!(
        remote.features(),
        KernelFeatures {
            require_udp_encap: true,
            marks: true,
            ..KernelFeatures::default()
        }
    );
    let (sa, policy) = demanding();
    for refused in [remote.add_sa(&sa), remote.add_policy(&policy)] {
        let error = refused.expect_err("refused");
        assert_eq!(error.kind, ErrorKind::NotSupported);
        assert!(error.message.contains("if_id_in, if_id_out"), "{error}");
    }
    assert!(own.said().is_empty());
}

#[test]
fn ah_and_compression_cross_in_the_third_version() {
    let [(own, remote), (older, second), _] = all();
    let (_, mut policy) = demanding();
    (policy.options.ah, policy.options.cpi) = (true, 0x4321);
    remote.add_policy(&policy).expect("added");
    assert_eq!(own.said(), [format!("{policy:?}")]);
    let known = |backend: &Arc<dyn KernelIpsec>| {
        [Protocol::IKE, Protocol::ESP, Protocol::AH, crate::kernel::IPCOMP].map(|it| backend.knows(it))
    };
    assert_eq!(known(&remote), [false, true, true, true]);
    assert_eq!(known(&second), [false, true, false, false]);
    let error = second.add_policy(&policy).expect_err("refused");
    assert_eq!(error.kind, ErrorKind::NotSupported);
    assert!(
        error
            .message
            .contains("kernel-ipsec/2, which has no ah_proposals"),
        "{error}"
    );
    assert!(older.said().is_empty());
}
