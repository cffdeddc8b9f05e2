//! What an authenticated peer may not do, one request at a time.

use iana::{ExchangeType, KeyExchangeMethod as Ke, NotifyType, Protocol};
use ike::ChildState;
use pqswan_tests::puppet::Puppet;
use wire::payload::{Notify, Payload};

const ESP: &str = "aes256gcm16-x25519-ke1_kyber3-ke2_ntrup3";
const TWICE: &str = "aes256gcm16-x25519-ke1_mlkem768-ke2_mlkem768";
const IKE: &str = "aes256gcm16-sha512-x25519-ke1_kyber3";
const SPI: [u8; 4] = [0xc1, 0, 0, 1];

fn kinds(answer: &[Payload]) -> Vec<NotifyType> {
    let kind = |payload: &Payload| match payload {
        Payload::Notify(notify) => Some(notify.kind),
        _ => None,
    };
    answer.iter().filter_map(kind).collect()
}

/// The request for a CHILD_SA, or the successor of the one that there is.
fn creation(puppet: &Puppet, proposal: &str, rekeys: Option<u32>) -> Vec<Payload> {
    let mut payloads = vec![
        puppet.proposals(proposal, Protocol::ESP, &SPI),
        Puppet::nonce(),
        puppet.public(Ke::CURVE_25519),
    ];
    payloads.extend(Puppet::selectors());
    payloads.extend(rekeys.map(|spi| {
        Payload::Notify(Notify {
            protocol: Protocol::ESP.0,
            spi: spi.to_be_bytes().to_vec(),
            kind: NotifyType::REKEY_SA,
            data: Vec::new(),
        })
    }));
    payloads
}

/// A puppet whose first of two additional key exchanges is due, and the link moon gave.
fn halfway() -> (Puppet, Vec<u8>) {
    let mut puppet = Puppet::established(&format!("{ESP}!"));
    let request = creation(&puppet, ESP, None);
    let answer = puppet.ask(ExchangeType::CREATE_CHILD_SA, request);
    let link = answer.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == NotifyType::ADDITIONAL_KEY_EXCHANGE_DRAFT => {
            Some(notify.data.clone())
        }
        _ => None,
    });
    (puppet, link.expect("a link"))
}

fn follow_up(puppet: &mut Puppet, payloads: Vec<Payload>) -> Vec<Payload> {
    puppet.ask(ExchangeType::IKE_FOLLOWUP_KE_DRAFT, payloads)
}

fn link(data: &[u8]) -> Payload {
    Puppet::notify(NotifyType::ADDITIONAL_KEY_EXCHANGE_DRAFT, data)
}

/// One CHILD_SA, nothing reserved: whatever was begun is forgotten.
fn assert_unharmed(puppet: &Puppet) {
    let sas = puppet.world.sas(0);
    assert_eq!(sas.len(), 1);
    assert_eq!(sas[0].children.len(), 1);
    assert_eq!(sas[0].children[0].state, ChildState::Installed);
    assert!(sas[0].tasks_passive.is_empty());
    let kernel = &puppet.world.hosts[0].kernel;
    assert_eq!((kernel.sas.len(), kernel.reserved.len()), (2, 0));
}

#[test]
fn all_steps_make_a_child_sa() {
    let (mut puppet, first) = halfway();
    let kyber = puppet.public(Ke::KYBER_L3);
    let answer = follow_up(&mut puppet, vec![kyber, link(&first)]);
    assert_eq!(kinds(&answer), [NotifyType::ADDITIONAL_KEY_EXCHANGE_DRAFT]);
    let ntru = puppet.public(Ke::NTRU_HPS_L3);
    let answer = follow_up(&mut puppet, vec![ntru, link(&first)]);
    assert!(matches!(&answer[..], [Payload::Ke(ke)] if ke.method == Ke::NTRU_HPS_L3));
    assert_eq!(puppet.world.sas(0)[0].children.len(), 2);
}

#[test]
fn a_follow_up_with_an_unknown_link_or_none_ends_the_attempt() {
    for wrong in [Some(vec![0x43]), Some(vec![]), Some(vec![0x42; 200]), None] {
        let (mut puppet, right) = halfway();
        assert_ne!(wrong.as_ref(), Some(&right));
        let mut payloads = vec![puppet.public(Ke::KYBER_L3)];
        payloads.extend(wrong.as_deref().map(link));
        let answer = follow_up(&mut puppet, payloads);
        assert_eq!(kinds(&answer), [NotifyType::STATE_NOT_FOUND_DRAFT], "{wrong:?}");
        assert_eq!(answer.len(), 1);
        assert_unharmed(&puppet);
        // The right one comes too late.
        let kyber = puppet.public(Ke::KYBER_L3);
        let answer = follow_up(&mut puppet, vec![kyber, link(&right)]);
        assert_eq!(kinds(&answer), [NotifyType::STATE_NOT_FOUND_DRAFT]);
        assert_unharmed(&puppet);
    }
}

#[test]
fn a_follow_up_out_of_nowhere_belongs_to_nothing() {
    let mut puppet = Puppet::established(&format!("{ESP}!"));
    let kyber = puppet.public(Ke::KYBER_L3);
    let answer = follow_up(&mut puppet, vec![kyber, link(&[0x42])]);
    assert_eq!(kinds(&answer), [NotifyType::STATE_NOT_FOUND_DRAFT]);
    assert!(puppet.world.logged(0, "that belongs to no CREATE_CHILD_SA"));
    assert_unharmed(&puppet);
}

#[test]
fn a_follow_up_of_another_method_or_without_one_is_refused() {
    let (mut puppet, right) = halfway();
    let ntru = puppet.public(Ke::NTRU_HPS_L3);
    let answer = follow_up(&mut puppet, vec![ntru, link(&right)]);
    assert_eq!(kinds(&answer), [NotifyType::NO_PROPOSAL_CHOSEN]);
    assert_unharmed(&puppet);

    let (mut puppet, right) = halfway();
    let answer = follow_up(&mut puppet, vec![link(&right)]);
    assert_eq!(kinds(&answer), [NotifyType::INVALID_SYNTAX]);
}

#[test]
fn another_request_in_between_takes_the_place_of_what_was_begun() {
    let (mut puppet, _) = halfway();
    let request = creation(&puppet, ESP, None);
    let answer = puppet.ask(ExchangeType::CREATE_CHILD_SA, request);
    assert_eq!(kinds(&answer), [NotifyType::ADDITIONAL_KEY_EXCHANGE_DRAFT]);
    // Liveness checks and the like leave it alone.
    assert!(puppet.ask(ExchangeType::INFORMATIONAL, Vec::new()).is_empty());
    let kyber = puppet.public(Ke::KYBER_L3);
    let answer = follow_up(&mut puppet, vec![kyber, link(&[0x42])]);
    assert_eq!(kinds(&answer), [NotifyType::ADDITIONAL_KEY_EXCHANGE_DRAFT]);
    assert_eq!(puppet.world.hosts[0].kernel.reserved.len(), 1);
}

#[test]
fn the_same_method_twice_is_not_chosen_by_the_rfc() {
    let mut puppet = Puppet::established(&format!("{TWICE}!"));
    let request = creation(&puppet, TWICE, None);
    let answer = puppet.ask(ExchangeType::CREATE_CHILD_SA, request);
    assert_eq!(kinds(&answer), [NotifyType::NO_PROPOSAL_CHOSEN]);
    assert_unharmed(&puppet);
}

#[test]
fn additional_key_exchanges_need_support_for_ike_intermediate() {
    let chosen = |intermediate: bool| {
        let mut puppet = Puppet::new(ESP, &[IKE]);
        let request = format!("{IKE},aes256gcm16-sha512-x25519");
        let (_, _, init) = puppet.init(&request, intermediate);
        let sa = init.answer.iter().find_map(|payload| match payload {
            Payload::Sa(sa) => Some(sa.proposals[0].transforms.len()),
            _ => None,
        });
        sa.expect("a proposal")
    };
    assert_eq!(chosen(true), 4, "cipher, PRF, X25519, Kyber");
    assert_eq!(chosen(false), 3, "the one without Kyber");
}

#[test]
fn what_is_to_be_rekeyed_must_exist() {
    let mut puppet = Puppet::established(&format!("{ESP}!"));
    let request = creation(&puppet, ESP, Some(0xdead_beef));
    let answer = puppet.ask(ExchangeType::CREATE_CHILD_SA, request);
    let [Payload::Notify(notify)] = &answer[..] else {
        unreachable!("one notify: {answer:?}")
    };
    assert_eq!(notify.kind, NotifyType::CHILD_SA_NOT_FOUND);
    assert_eq!(
        (notify.protocol, &notify.spi[..]),
        (Protocol::ESP.0, &[0xde, 0xad, 0xbe, 0xef][..])
    );
    assert_unharmed(&puppet);
}

#[test]
fn another_method_than_the_chosen_one_is_asked_for_again() {
    let mut puppet = Puppet::established(&format!("{ESP}!"));
    let mut request = creation(&puppet, ESP, None);
    request.retain(|payload| !matches!(payload, Payload::Ke(_)));
    request.push(puppet.public(Ke::ECP_256));
    let answer = puppet.ask(ExchangeType::CREATE_CHILD_SA, request);
    let [Payload::Notify(notify)] = &answer[..] else {
        unreachable!("one notify: {answer:?}")
    };
    assert_eq!(notify.kind, NotifyType::INVALID_KE_PAYLOAD);
    assert_eq!(notify.data, Ke::CURVE_25519.0.to_be_bytes());
    assert_unharmed(&puppet);
}

#[test]
fn an_ike_sa_is_not_rekeyed_to_spi_zero_or_without_key_exchange() {
    let mut puppet = Puppet::established(&format!("{ESP}!"));
    for spi in [&[0; 8][..], &[1; 4]] {
        let request = vec![
            puppet.proposals("aes256gcm16-sha512-x25519", Protocol::IKE, spi),
            Puppet::nonce(),
            puppet.public(Ke::CURVE_25519),
        ];
        let answer = puppet.ask(ExchangeType::CREATE_CHILD_SA, request);
        assert_eq!(kinds(&answer), [NotifyType::NO_PROPOSAL_CHOSEN], "{spi:?}");
    }
    let request = vec![
        puppet.proposals("aes256gcm16-sha512-x25519", Protocol::IKE, &[1; 8]),
        Puppet::nonce(),
    ];
    let answer = puppet.ask(ExchangeType::CREATE_CHILD_SA, request);
    assert_eq!(kinds(&answer), [NotifyType::INVALID_KE_PAYLOAD]);
    assert_unharmed(&puppet);
    let request = vec![
        puppet.proposals("aes256gcm16-sha512-x25519", Protocol::IKE, &[1; 8]),
        Puppet::nonce(),
        puppet.public(Ke::CURVE_25519),
    ];
    let answer = puppet.ask(ExchangeType::CREATE_CHILD_SA, request);
    assert!(kinds(&answer).is_empty());
    assert_eq!(puppet.world.sas(0).len(), 2, "the old one waits for its DELETE");
}

#[test]
fn fragments_may_come_in_any_order_and_twice() {
    let mut puppet = Puppet::established(&format!("{ESP}!"));
    let request = creation(&puppet, ESP, None);
    let mut fragments = puppet.fragments(ExchangeType::CREATE_CHILD_SA, &request, 100);
    assert!(fragments.len() > 2);
    fragments.reverse();
    let again = fragments[0].clone();
    fragments.insert(1, again);
    let answers = puppet.send(&fragments);
    assert_eq!(answers.len(), 1);
    let answer = puppet.open(&answers[0]);
    assert_eq!(kinds(&answer), [NotifyType::ADDITIONAL_KEY_EXCHANGE_DRAFT]);
    assert!(puppet.world.logged(0, "received duplicate fragment"));
}

#[test]
fn games_with_fragments_are_lost() {
    let exchange = ExchangeType::CREATE_CHILD_SA;
    let cases = [
        (&[(2, 3), (2, 2)][..], 100, "but the total was larger before"),
        (&[(2, 2), (2, 3), (2, 3)], 100, "received duplicate fragment #2"),
        (&[(1, 300)], 100, "maximum fragment count exceeded"),
        (
            &[(2, 255), (3, 255), (4, 255)],
            12_000,
            "charon.max_packet = 30000 allows no more",
        ),
    ];
    for (fragments, len, line) in cases {
        let mut puppet = Puppet::established(&format!("{ESP}!"));
        let content = vec![0; len];
        let sealed: Vec<_> = fragments
            .iter()
            .map(|place| puppet.fragment(exchange, *place, &content))
            .collect();
        assert!(puppet.send(&sealed).is_empty(), "{line}");
        assert!(
            puppet.world.logged(0, line),
            "{line}: {:#?}",
            puppet.world.hosts[0].log
        );
        // What was collected is in nobody's way.
        let request = creation(&puppet, ESP, None);
        let fragments = puppet.fragments(exchange, &request, 100);
        let answers = puppet.send(&fragments);
        let answer = answers.first().map(|answer| puppet.open(answer));
        let expected = [NotifyType::ADDITIONAL_KEY_EXCHANGE_DRAFT];
        assert_eq!(
            answer.as_deref().map(kinds).as_deref(),
            Some(&expected[..]),
            "{line}"
        );
    }
}
