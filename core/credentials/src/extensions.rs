//! Extensions of certificates (RFC 5280, 4.2).

use config::identity::Identity;
use iana::IdType;
use x509_parser::der_parser::oid;
use x509_parser::extensions::{
    CRLDistributionPoint, DistributionPointName, GeneralName, GeneralSubtree, ParsedExtension,
    PolicyInformation, X509Extension,
};
use x509_parser::oid_registry::{OID_PKIX_ACCESS_DESCRIPTOR_OCSP, Oid};
use x509_parser::prelude::FromDer;

use crate::certificate::name;
use crate::{Certificate, Error, Policy, Uri};

/// A URI among the names of a certificate; of the numbers that IKE leaves to those who agree on them (RFC 7296, 3.5).
const URI: IdType = IdType(201);

pub(crate) fn read(certificate: &mut Certificate, extension: &X509Extension<'_>) -> Result<(), Error> {
    match extension.parsed_extension() {
        ParsedExtension::ParseError { error } => {
            let why = format!("its extension {}: {error}", extension.oid);
            return Err(Error::form("X.509 certificate", why));
        }
        ParsedExtension::BasicConstraints(constraints) => {
            certificate.flags.ca = constraints.ca;
            certificate.path_len = constraints.path_len_constraint.filter(|_| constraints.ca);
        }
        ParsedExtension::KeyUsage(usage) => certificate.flags.crl_sign = usage.crl_sign(),
        ParsedExtension::ExtendedKeyUsage(usage) => {
            let other = |oid: Oid<'_>| usage.other.contains(&oid);
            let flags = &mut certificate.flags;
            flags.ocsp |= usage.ocsp_signing;
            flags.server_auth = usage.server_auth;
            flags.client_auth = usage.client_auth;
            flags.ike_intermediate = other(oid!(1.3.6.1.5.5.8.2.2));
            flags.smartcard_logon = other(oid!(1.3.6.1.4.1.311.20.2.2));
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            certificate.alt_names = names.general_names.iter().filter_map(identity).collect();
        }
        ParsedExtension::CRLDistributionPoints(points) => {
            certificate.crl_uris = points.iter().flat_map(uris).collect();
        }
        ParsedExtension::AuthorityInfoAccess(access) => {
            let ocsp = access
                .iter()
                .filter(|it| it.access_method == OID_PKIX_ACCESS_DESCRIPTOR_OCSP);
            certificate.ocsp_uris = ocsp.filter_map(|it| uri(&it.access_location)).collect();
        }
        ParsedExtension::NameConstraints(names) => {
            certificate.permitted = subtrees(names.permitted_subtrees.as_deref());
            certificate.excluded = subtrees(names.excluded_subtrees.as_deref());
        }
        ParsedExtension::CertificatePolicies(policies) => {
            certificate.policies = policies.iter().map(policy).collect();
        }
        ParsedExtension::PolicyMappings(mappings) => {
            let pair = |it: &x509_parser::extensions::PolicyMapping<'_>| {
                (
                    it.issuer_domain_policy.to_id_string(),
                    it.subject_domain_policy.to_id_string(),
                )
            };
            certificate.policy_mappings = mappings.mappings.iter().map(pair).collect();
        }
        ParsedExtension::PolicyConstraints(constraints) => {
            certificate.explicit_policy = constraints.require_explicit_policy;
            certificate.inhibit_mapping = constraints.inhibit_policy_mapping;
        }
        ParsedExtension::InhibitAnyPolicy(inhibit) => certificate.inhibit_any = Some(inhibit.skip_certs),
        ParsedExtension::AuthorityKeyIdentifier(id) => {
            certificate.authority_key = id.key_identifier.as_ref().map(|id| id.0.to_vec());
        }
        ParsedExtension::SubjectKeyIdentifier(id) => certificate.subject_key = Some(id.0.to_vec()),
        _ => {}
    }
    Ok(())
}

/// A name as identities have it; none for those that nobody has in IKE.
fn identity(general: &GeneralName<'_>) -> Option<Identity> {
    let (kind, data) = match general {
        GeneralName::RFC822Name(address) => (IdType::RFC822_ADDR, address.as_bytes()),
        GeneralName::DNSName(name) => (IdType::FQDN, name.as_bytes()),
        GeneralName::DirectoryName(directory) => return Some(name(directory.as_raw())),
        GeneralName::URI(uri) => (URI, uri.as_bytes()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => (IdType::IPV4_ADDR, *octets),
            16 => (IdType::IPV6_ADDR, *octets),
            // A network with its mask, in name constraints (RFC 5280, 4.2.1.10).
            8 => (IdType(4), *octets),
            32 => (IdType(6), *octets),
            _ => return None,
        },
        GeneralName::OtherName(oid, value) => {
            // Those of XMPP and of Windows look like addresses of mail.
            let known = *oid == oid!(1.3.6.1.5.5.7.8.5) || *oid == oid!(1.3.6.1.4.1.311.20.2.3);
            let (_, outer) = x509_parser::asn1_rs::Any::from_der(value).ok().filter(|_| known)?;
            let (_, text) = x509_parser::asn1_rs::Any::from_der(outer.data).ok()?;
            (IdType::RFC822_ADDR, text.data)
        }
        _ => return None,
    };
    Some(Identity::new(kind, data.to_vec()))
}

fn uri(general: &GeneralName<'_>) -> Option<String> {
    match general {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    }
}

/// Where a list is, at each of its addresses.
pub(crate) fn uris(point: &CRLDistributionPoint<'_>) -> Vec<Uri> {
    let Some(DistributionPointName::FullName(names)) = &point.distribution_point else {
        return Vec::new();
    };
    let issuer = point.crl_issuer.iter().flatten().find_map(identity);
    let uris = names.iter().filter_map(uri);
    uris.map(|uri| Uri {
        uri,
        issuer: issuer.clone(),
    })
    .collect()
}

fn subtrees(trees: Option<&[GeneralSubtree<'_>]>) -> Vec<Identity> {
    let trees = trees.unwrap_or_default().iter();
    trees.filter_map(|tree| identity(&tree.base)).collect()
}

fn policy(information: &PolicyInformation<'_>) -> Policy {
    let mut policy = Policy {
        oid: information.policy_id.to_id_string(),
        cps: None,
        notice: None,
    };
    for qualifier in information.policy_qualifiers.iter().flatten() {
        let any = x509_parser::asn1_rs::Any::from_der(qualifier.qualifier);
        let Ok((_, any)) = any else { continue };
        let text = |octets: &[u8]| Some(String::from_utf8_lossy(octets).into_owned());
        if qualifier.policy_qualifier_id == oid!(1.3.6.1.5.5.7.2.1) {
            policy.cps = text(any.data);
        } else if qualifier.policy_qualifier_id == oid!(1.3.6.1.5.5.7.2.2) {
            // SEQUENCE { noticeRef SEQUENCE OPTIONAL, explicitText OPTIONAL }: the text is no SEQUENCE.
            let mut rest = any.data;
            while let Ok((after, part)) = x509_parser::asn1_rs::Any::from_der(rest) {
                if part.tag() != x509_parser::asn1_rs::Tag::Sequence {
                    policy.notice = text(part.data);
                }
                rest = after;
            }
        }
    }
    policy
}
