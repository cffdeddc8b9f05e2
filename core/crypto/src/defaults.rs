//! What is offered where nothing is configured.

use iana::keyword::Transform;
use iana::{
    EncryptionAlgorithm as Encr, ExtendedSequenceNumbers as Esn, IntegrityAlgorithm as Integ,
    KeyExchangeMethod as Ke, Protocol, PseudoRandomFunction as Prf, TransformType,
};

use crate::proposal::{DefaultStyle, Proposal, wire_rank};
use crate::registry::Registry;

/// The default proposals: without AEADs first, then with AEADs. Their numbers are the caller's to set.
pub(crate) fn proposals(protocol: Protocol, registry: &Registry, style: DefaultStyle) -> Vec<Proposal> {
    let lists = match (protocol, style) {
        (Protocol::IKE, DefaultStyle::Draft) => draft_ike(),
        (Protocol::IKE, DefaultStyle::Rfc) => rfc_ike(registry),
        (Protocol::IKE, DefaultStyle::Either) => [rfc_ike(registry), draft_ike()].concat(),
        (Protocol::AH, _) => vec![ipsec(protocol, &[], IPSEC_INTEG, true, style, registry)],
        _ => {
            let aead_esn = style == DefaultStyle::Rfc;
            vec![
                ipsec(protocol, ESP_CIPHERS, IPSEC_INTEG, true, style, registry),
                ipsec(protocol, ESP_AEADS, &[], aead_esn, style, registry),
            ]
        }
    };
    let needed = |transforms: &Vec<Transform>| {
        let has = |kind| transforms.iter().any(|transform| transform.kind == kind);
        let encrypts = has(TransformType::ENCR);
        let aead =
            |transform: &Transform| transform.kind == TransformType::ENCR && Encr(transform.id).is_aead();
        let authenticates = has(TransformType::INTEG) || transforms.iter().any(aead);
        (encrypts || protocol == Protocol::AH) && authenticates
    };
    let lists = lists.into_iter().filter(needed);
    let proposal = |mut transforms: Vec<Transform>| {
        transforms.sort_by_key(|transform| wire_rank(transform.kind));
        Proposal {
            number: 1,
            protocol,
            spi: Vec::new(),
            transforms,
        }
    };
    lists.map(proposal).collect()
}

const SIZES: &[u16] = &[128, 192, 256];
const ESP_CIPHERS: &[Encr] = &[Encr::AES_CBC];
const ESP_AEADS: &[Encr] = &[Encr::AES_GCM_16];
const IPSEC_INTEG: &[Integ] = &[
    Integ::HMAC_SHA2_256_128,
    Integ::HMAC_SHA2_384_192,
    Integ::HMAC_SHA2_512_256,
    Integ::HMAC_SHA1_96,
    Integ::AES_XCBC_96,
];

/// What strongSwan 6.0dr3 sends with the plugins `aes des sha2 sha1 gmp curve25519 xcbc cmac hmac gcm ntru`.
///
/// A compatibility table, not a list of what is implemented: with it IKE_SA_INIT has the length and the content that
/// peers of that release send themselves. The NTRU of private numbers 1031 to 1033 no plugin of ours implements, and others
/// may not be loaded, so they are names to offer: the responder never selects them, and an initiator whose peer does says so
/// and gives up. The same goes for 3DES, which is too weak to be selected unless a configuration names it.
fn draft_ike() -> Vec<Vec<Transform>> {
    const INTEG: &[Integ] = &[
        Integ::HMAC_SHA2_256_128,
        Integ::HMAC_SHA2_384_192,
        Integ::HMAC_SHA2_512_256,
        Integ::AES_XCBC_96,
        Integ::AES_CMAC_96,
        Integ::HMAC_SHA1_96,
    ];
    const PRFS: &[Prf] = &[
        Prf::AES128_XCBC,
        Prf::AES128_CMAC,
        Prf::HMAC_SHA2_256,
        Prf::HMAC_SHA2_384,
        Prf::HMAC_SHA2_512,
        Prf::HMAC_SHA1,
    ];
    const METHODS: &[Ke] = &[
        Ke::CURVE_25519,
        Ke::NTRU_128,
        Ke::NTRU_192,
        Ke::NTRU_256,
        Ke::MODP_3072,
        Ke::MODP_4096,
        Ke::MODP_6144,
        Ke::MODP_8192,
        Ke::MODP_2048,
    ];
    let common = || {
        let prfs = PRFS.iter().map(|prf| Transform::new(TransformType::PRF, prf.0));
        prfs.chain(
            METHODS
                .iter()
                .map(|method| Transform::new(TransformType::KE, method.0)),
        )
    };
    let mut classic: Vec<_> = sized(&[Encr::AES_CBC]).collect();
    classic.push(Transform::encryption(Encr::TRIPLE_DES_CBC, None));
    classic.extend(
        INTEG
            .iter()
            .map(|integ| Transform::new(TransformType::INTEG, integ.0)),
    );
    classic.extend(common());
    let aead = sized(&[Encr::AES_GCM_16, Encr::AES_GCM_8, Encr::AES_GCM_12])
        .chain(common())
        .collect();
    vec![classic, aead]
}

/// The candidates of strongSwan 6.0.6 that plugins implement. Rounds are by strength; within a round the order is that
/// of registration, as a plugin loaded earlier is the administrator's choice.
fn rfc_ike(registry: &Registry) -> Vec<Vec<Transform>> {
    let encryption = |aead: bool, rounds: &[&[Encr]]| -> Vec<Transform> {
        let algorithms = in_rounds(&registry.encryption_algorithms(aead), rounds);
        let transforms = algorithms.into_iter().flat_map(sizes_of);
        transforms
            .filter(|transform| registry.implements(Protocol::IKE, *transform))
            .collect()
    };
    let prfs = in_rounds(
        &registry.pseudo_random_functions(),
        &[
            &[Prf::HMAC_SHA2_256, Prf::HMAC_SHA2_384, Prf::HMAC_SHA2_512],
            &[Prf::AES128_XCBC, Prf::AES128_CMAC],
            &[Prf::HMAC_SHA1],
        ],
    );
    let integrity = in_rounds(
        &registry.integrity_algorithms(),
        &[
            &[
                Integ::HMAC_SHA2_256_128,
                Integ::HMAC_SHA2_384_192,
                Integ::HMAC_SHA2_512_256,
            ],
            &[Integ::AES_XCBC_96, Integ::AES_CMAC_96, Integ::HMAC_SHA1_96],
        ],
    );
    let methods = supported_methods(registry);
    if prfs.is_empty() || methods.is_empty() {
        return Vec::new();
    }
    let mut common: Vec<_> = prfs
        .iter()
        .map(|prf| Transform::new(TransformType::PRF, prf.0))
        .collect();
    common.extend(methods);

    let mut lists = Vec::new();
    let mut classic = encryption(
        false,
        &[
            // strongSwan has 3DES behind them, which has to be named here.
            &[
                Encr::AES_CBC,
                Encr::AES_CTR,
                Encr::CAMELLIA_CBC,
                Encr::CAMELLIA_CTR,
            ],
        ],
    );
    if !classic.is_empty() && !integrity.is_empty() {
        classic.extend(
            integrity
                .iter()
                .map(|integ| Transform::new(TransformType::INTEG, integ.0)),
        );
        classic.extend(&common);
        lists.push(classic);
    }
    let mut aead = encryption(
        true,
        &[
            &[
                Encr::AES_GCM_16,
                Encr::AES_CCM_16,
                Encr::CAMELLIA_CCM_16,
                Encr::CHACHA20_POLY1305,
            ],
            &[
                Encr::AES_GCM_12,
                Encr::AES_GCM_8,
                Encr::AES_CCM_12,
                Encr::AES_CCM_8,
                Encr::CAMELLIA_CCM_12,
                Encr::CAMELLIA_CCM_8,
            ],
        ],
    );
    if !aead.is_empty() {
        aead.extend(&common);
        lists.push(aead);
    }
    lists
}

/// ESP or AH: the ciphers are the back end's, as far as it has them; the key exchanges are those of plugins.
fn ipsec(
    protocol: Protocol,
    encryption: &[Encr],
    integrity: &[Integ],
    // 6.0dr3 forgot the ESN transform in its AEAD proposal; IKE_AUTH has the length of its messages without it.
    esn: bool,
    style: DefaultStyle,
    registry: &Registry,
) -> Vec<Transform> {
    let mut transforms: Vec<_> = sized(encryption).collect();
    transforms.extend(
        integrity
            .iter()
            .map(|integ| Transform::new(TransformType::INTEG, integ.0)),
    );
    transforms.retain(|transform| registry.implements(protocol, *transform));
    if style == DefaultStyle::Rfc {
        // With NONE behind them, so that a peer with and one without perfect forward secrecy both match.
        transforms.extend(supported_methods(registry));
        transforms.push(Transform::new(TransformType::KE, Ke::NONE.0));
    }
    if esn {
        transforms.push(Transform::new(TransformType::ESN, Esn::NO_EXT_SEQ.0));
    }
    transforms
}

fn supported_methods(registry: &Registry) -> Vec<Transform> {
    let methods = in_rounds(
        &registry.key_exchange_methods(),
        &[
            &[
                Ke::ECP_256,
                Ke::ECP_384,
                Ke::ECP_521,
                Ke::ECP_256_BP,
                Ke::ECP_384_BP,
                Ke::ECP_512_BP,
                Ke::CURVE_25519,
                Ke::CURVE_448,
            ],
            &[Ke::MODP_3072, Ke::MODP_4096, Ke::MODP_6144, Ke::MODP_8192],
            &[Ke::MODP_2048],
        ],
    );
    methods
        .into_iter()
        .map(|method| Transform::new(TransformType::KE, method.0))
        .collect()
}

/// What is registered and in one of the rounds, round by round.
fn in_rounds<T: Copy + PartialEq>(registered: &[T], rounds: &[&[T]]) -> Vec<T> {
    let of_round = |round: &&[T]| {
        registered
            .iter()
            .copied()
            .filter(|it| round.contains(it))
            .collect::<Vec<_>>()
    };
    rounds.iter().flat_map(of_round).collect()
}

fn sized(algorithms: &[Encr]) -> impl Iterator<Item = Transform> {
    algorithms.iter().flat_map(|algorithm| {
        SIZES
            .iter()
            .map(|bits| Transform::encryption(*algorithm, Some(*bits)))
    })
}

fn sizes_of(algorithm: Encr) -> Vec<Transform> {
    match algorithm.key_len(None) {
        Some(_) => vec![Transform::encryption(algorithm, None)],
        None => sized(&[algorithm]).collect(),
    }
}
