//! The plugin's algorithms against the published vectors.

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;

#[test]
fn every_feature_gives_the_known_answers() {
    check::features(&charon_blowfish::features(&check::host()));
}
