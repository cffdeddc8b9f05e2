use super::*;
use crate::header::{Flags, IkeSpi};
use crate::{Packet, parse_datagram};
use iana::ExchangeType;
use proptest::collection::vec;
use proptest::prelude::*;

/// Adds a number to each octet and appends a sum.
struct Toy {
    iv: usize,
    icv: usize,
    block: usize,
}

impl Protection for Toy {
    fn iv_len(&self) -> usize {
        self.iv
    }

    fn icv_len(&self) -> usize {
        self.icv
    }

    fn block(&self) -> usize {
        self.block
    }

    fn seal(&self, message: &mut [u8], body: usize, id: u32, _: u16) -> Result<(), ProtectError> {
        let end = message.len() - self.icv;
        assert_eq!((end - body - self.iv) % self.block, 0);
        message[body..body + self.iv].fill(id as u8);
        message[body + self.iv..end]
            .iter_mut()
            .for_each(|octet| *octet = octet.wrapping_add(1));
        let sum = message[..end]
            .iter()
            .fold(0u8, |sum, octet| sum.wrapping_add(*octet));
        message[end..].fill(sum);
        Ok(())
    }

    fn open(&self, message: &mut [u8], body: usize) -> Result<Range<usize>, ProtectError> {
        let end = message.len().checked_sub(self.icv).ok_or(ProtectError)?;
        let start = Some(body + self.iv)
            .filter(|start| *start <= end)
            .ok_or(ProtectError)?;
        let sum = message[..end]
            .iter()
            .fold(0u8, |sum, octet| sum.wrapping_add(*octet));
        if message[end..].iter().any(|octet| *octet != sum) {
            return Err(ProtectError);
        }
        message[start..end]
            .iter_mut()
            .for_each(|octet| *octet = octet.wrapping_sub(1));
        Ok(start..end)
    }
}

const GCM: Toy = Toy {
    iv: 8,
    icv: 16,
    block: 1,
};
const CBC: Toy = Toy {
    iv: 16,
    icv: 32,
    block: 16,
};

fn header() -> Header {
    Header {
        spi_i: IkeSpi(1),
        spi_r: IkeSpi(2),
        next_payload: PayloadType::NONE,
        version: 0x20,
        exchange: ExchangeType::IKE_INTERMEDIATE,
        flags: Flags::INITIATOR,
        message_id: 7,
        length: 0,
    }
}

#[test]
fn lengths_are_those_of_the_seed() {
    assert_eq!(sealed_len(&GCM, 0), 57);
    assert_eq!(sealed_len(&GCM, 8 + 1184), 1249);
    assert_eq!(sealed_len(&GCM, 8 + 15632), 15697);
}

#[test]
fn a_frodo_key_takes_twelve_fragments() {
    let packets = seal_fragments(&GCM, &header(), PayloadType::KE, &[5; 15640], 1448).expect("sealed");
    let lengths: Vec<_> = packets.iter().map(Vec::len).collect();
    assert_eq!(lengths[..11], [1448; 11]);
    assert_eq!(lengths[11..], [444]);
    let packets = seal_fragments(&CBC, &header(), PayloadType::KE, &[5; 2 * 1359], 1448).expect("sealed");
    assert_eq!(packets.len(), 2, "1359 octets fit beside CBC and HMAC-SHA-512");
    let packets = seal_fragments(&CBC, &header(), PayloadType::KE, &[5; 2 * 1359 + 1], 1448).expect("sealed");
    assert_eq!(
        packets.iter().map(Vec::len).collect::<Vec<_>>(),
        [1444, 1444, 100]
    );
}

#[test]
fn what_was_sealed_opens_again() {
    for (toy, len) in [
        (&GCM, 0),
        (&GCM, 33),
        (&CBC, 0),
        (&CBC, 15),
        (&CBC, 16),
        (&CBC, 500),
    ] {
        let plaintext: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let mut sealed = seal(toy, &header(), PayloadType::KE, &plaintext).expect("sealed");
        assert_eq!(sealed.len(), sealed_len(toy, plaintext.len()));
        let Ok(Packet::Encrypted {
            inner_first,
            body_offset,
            ..
        }) = parse_datagram(&sealed)
        else {
            panic!("not an encrypted message");
        };
        assert_eq!((inner_first, body_offset), (PayloadType::KE, 32));
        assert_eq!(open(toy, &mut sealed, 32), Ok(plaintext));
    }
}

#[test]
fn fragments_put_together_are_the_plaintext() {
    let plaintext: Vec<u8> = (0..1000).map(|n| n as u8).collect();
    let mut whole = Vec::new();
    for mut packet in seal_fragments(&CBC, &header(), PayloadType::SA, &plaintext, 300).expect("sealed") {
        assert!(packet.len() <= 300);
        let Ok(Packet::Fragment {
            number,
            inner_first,
            body_offset,
            ..
        }) = parse_datagram(&packet)
        else {
            panic!("not a fragment");
        };
        let expected = if number == 1 {
            PayloadType::SA
        } else {
            PayloadType::NONE
        };
        assert_eq!((inner_first, body_offset), (expected, 36));
        whole.extend(open(&CBC, &mut packet, 36).expect("opens"));
    }
    assert_eq!(whole, plaintext);
}

#[test]
fn a_changed_or_cut_message_does_not_open() {
    let sealed = seal(&GCM, &header(), PayloadType::KE, b"payload").expect("sealed");
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert_eq!(open(&GCM, &mut changed, 32), Err(Error::Protect), "octet {index}");
        assert!(
            open(&GCM, &mut sealed[..index].to_vec(), 32).is_err(),
            "cut at {index}"
        );
    }
}

#[test]
fn nothing_of_the_plaintext_stays_in_the_datagram() {
    let mut sealed = seal(&CBC, &header(), PayloadType::KE, b"a secret of 22 octets!").expect("sealed");
    assert_eq!(
        open(&CBC, &mut sealed, 32),
        Ok(b"a secret of 22 octets!".to_vec())
    );
    assert_eq!(sealed[48..80], [0; 32]);
}

#[test]
fn padding_may_be_longer_than_needed_but_not_than_the_plaintext() {
    assert_eq!(without_padding(&[7, 1, 2, 2]), Some(&[7][..]));
    assert_eq!(without_padding(&[1, 2, 3, 3]), Some(&[][..]));
    assert_eq!(without_padding(&[1, 2, 3, 4]), None);
    assert_eq!(without_padding(&[0]), Some(&[][..]));
    assert_eq!(without_padding(&[]), None);
}

#[test]
fn an_empty_message_is_one_fragment() {
    let packets = seal_fragments(&GCM, &header(), PayloadType::NONE, &[], 1448).expect("sealed");
    assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), [61]);
}

#[test]
fn the_fragments_of_an_ml_kem_key_are_those_of_the_default_size() {
    let packets = seal_fragments(&GCM, &header(), PayloadType::KE, &[5; 1192], 1248).expect("sealed");
    assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), [1248, 66]);
}

#[test]
fn what_fits_no_packet_is_an_error() {
    let (header, first) = (header(), PayloadType::KE);
    assert!(seal(&GCM, &header, first, &vec![0; 65506]).is_ok());
    assert_eq!(
        seal(&GCM, &header, first, &vec![0; 65507]),
        Err(Error::TooLong(65507))
    );
    assert!(seal_fragments(&GCM, &header, first, &vec![0; 65531], 1448).is_ok());
    assert_eq!(
        seal_fragments(&GCM, &header, first, &vec![0; 65532], 1448),
        Err(Error::TooLong(65532))
    );
    // 28 of the header, 8 of the generic header, 8 of the IV, 16 of the check value and 1 of the padding.
    assert_eq!(
        seal_fragments(&GCM, &header, first, &[0; 2], 61),
        Err(Error::TooLong(2))
    );
    assert_eq!(
        seal_fragments(&GCM, &header, first, &[0; 2], 62).map(|packets| packets.len()),
        Ok(2)
    );
    assert_eq!(
        seal_fragments(&GCM, &header, first, &[0; 2], 0),
        Err(Error::TooLong(2))
    );
}

proptest! {
    #[test]
    fn fragments_of_any_size_fit_and_put_together_are_the_plaintext(
        plaintext in vec(any::<u8>(), 0..2000),
        max in 90usize..1500,
        gcm in any::<bool>(),
    ) {
        let toy = if gcm { &GCM } else { &CBC };
        // Less than a block beside CBC's overhead of 84 octets holds nothing.
        let max = if gcm { max } else { max + 16 };
        let packets = seal_fragments(toy, &header(), PayloadType::SA, &plaintext, max).expect("sealed");
        let total = packets.len();
        let mut whole = Vec::new();
        for (at, mut packet) in packets.into_iter().enumerate() {
            prop_assert!(packet.len() <= max);
            let Ok(Packet::Fragment { number, total: of, .. }) = parse_datagram(&packet) else {
                return Err(TestCaseError::fail("not a fragment"));
            };
            prop_assert_eq!((usize::from(number), usize::from(of)), (at + 1, total));
            whole.extend(open(toy, &mut packet, 36).expect("opens"));
        }
        prop_assert_eq!(whole, plaintext);
    }

    #[test]
    fn octets_of_any_kind_do_not_open_and_never_panic(mut octets in vec(any::<u8>(), 0..200), at in 0usize..250) {
        // The toy's sum has 16 or 32 equal octets, which chance does not make.
        prop_assert_eq!(open(&GCM, &mut octets.clone(), at), Err(Error::Protect));
        prop_assert_eq!(open(&CBC, &mut octets, at), Err(Error::Protect));
    }
}
