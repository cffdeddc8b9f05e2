use super::*;

#[test]
fn pools_have_a_text_and_lists() {
    let mut bench = Bench::new(FULL);
    let (code, out, _) = bench.run(What::Pools);
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "loaded pool 'rw_pool'\nsuccessfully loaded 1 pools, 0 unloaded\n"
    );
    assert_eq!(
        bench.calls("load-pool"),
        [
            "{rw_pool {addrs=10.3.0.0/28 dns=[192.168.0.1 10.1.0.20] split_exclude=[10.4.0.0/16] 28675=[example.org]}}"
        ]
    );
}

#[test]
fn pools_that_are_gone_are_unloaded() {
    let mut bench = Bench::new("pools { new { addrs = 10.3.0.0/28\n } }\n");
    let pool = |message: Message, name| message.section(name, |pool| pool.value("base", "10.0.0.1"));
    bench.answer("get-pools", pool(pool(Message::new(), "old"), "new"));
    let (code, out, _) = bench.run(What::Pools);
    assert_eq!(code, 0);
    assert!(out.ends_with("successfully loaded 1 pools, 1 unloaded\n"));
    assert_eq!(bench.calls("unload-pool"), ["{name=old}"]);
}

#[test]
fn a_wrong_attribute_of_a_pool_has_its_place() {
    let mut bench = Bench::new("pools {\n  p {\n    addrs = 10.3.0.0/28\n    dsn = 10.1.0.1\n  }\n}\n");
    bench.refuse("load-pool", "invalid attribute: dsn");
    let (code, _, err) = bench.run(What::Pools);
    assert_eq!(code, 22);
    assert_eq!(
        err,
        "loading pool 'p' failed: invalid attribute: dsn (swanctl.conf:4, did you mean 'dns'?)\n\
         loaded 0 of 1 pools, 1 failed to load, 0 unloaded\n"
    );
    bench.refuse("load-pool", "invalid attribute value for dsn");
    let (_, _, err) = bench.run(What::Pools);
    assert!(
        err.contains("invalid attribute value for dsn (swanctl.conf:4"),
        "{err}"
    );
}

#[test]
fn an_authority_has_the_content_of_its_certificate() {
    let mut bench = Bench::new(FULL);
    bench.file("x509ca/ca.pem", "content");
    bench.answer("get-authorities", Message::new().list("authorities", ["gone"]));
    let (code, out, _) = bench.run(What::Authorities);
    assert_eq!(code, 0);
    assert!(out.ends_with("successfully loaded 1 authorities, 1 unloaded\n"));
    assert_eq!(
        bench.calls("load-authority"),
        [
            "{strongswan {cacert=content crl_uris=[http://crl.strongswan.org/a.crl http://crl.strongswan.org/b.crl]}}"
        ]
    );
}
