//! The crate rsvici.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use rsvici::Client;
use serde::{Deserialize, Serialize};

use super::pair::{Pair, peer, swanctl_conf};

const PROPOSAL: &str = "aes256gcm16-sha512-x25519-ke1_mlkem768";

#[derive(Deserialize)]
struct Version {
    daemon: String,
}

#[derive(Debug, Deserialize)]
struct Done {
    success: bool,
    errmsg: Option<String>,
}

#[derive(Serialize)]
struct Secret {
    id: &'static str,
    r#type: &'static str,
    data: &'static str,
    owners: [&'static str; 2],
}

#[derive(Serialize)]
struct End {
    auth: &'static str,
    id: &'static str,
}

#[derive(Serialize)]
struct Child {
    local_ts: [&'static str; 1],
    remote_ts: [&'static str; 1],
    esp_proposals: [&'static str; 1],
}

#[derive(Serialize)]
struct Connection {
    version: u8,
    local_addrs: [&'static str; 1],
    remote_addrs: [&'static str; 1],
    proposals: [&'static str; 1],
    local: End,
    remote: End,
    children: BTreeMap<&'static str, Child>,
}

/// What selects an SA, or what to wait for.
#[derive(Serialize)]
struct Named {
    #[serde(skip_serializing_if = "Option::is_none")]
    child: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ike: Option<&'static str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sa {
    uniqueid: u32,
    state: String,
    ake1: String,
    child_sas: BTreeMap<String, ChildSa>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ChildSa {
    state: String,
    local_ts: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Line {
    msg: String,
}

async fn done(client: &mut Client, command: &str, request: impl Serialize) {
    let done: Done = client.request(command, request).await.unwrap();
    assert!(done.success, "{command}: {:?}", done.errmsg);
}

async fn lines(client: &mut Client, command: &str, request: impl Serialize) -> Vec<String> {
    let stream = client.stream_request::<_, Line>(command, "control-log", request);
    let lines: Vec<Line> = stream.try_collect().await.unwrap();
    lines.into_iter().map(|line| line.msg).collect()
}

async fn sas(client: &mut Client) -> Vec<BTreeMap<String, Sa>> {
    let stream = client.stream_request("list-sas", "list-sa", ());
    stream.try_collect().await.unwrap()
}

async fn session(client: &mut Client) {
    let version: Version = client.request("version", ()).await.unwrap();
    assert_eq!(version.daemon, "charon");
    let secret = Secret {
        id: "ike-1",
        r#type: "IKE",
        data: "known on both hosts",
        owners: ["moon.strongswan.org", "carol.strongswan.org"],
    };
    done(client, "load-shared", secret).await;
    let child = Child {
        local_ts: ["10.3.0.0/16"],
        remote_ts: ["10.1.0.0/16"],
        esp_proposals: [PROPOSAL],
    };
    let connection = Connection {
        version: 2,
        local_addrs: ["192.168.0.3"],
        remote_addrs: ["192.168.0.2"],
        proposals: [PROPOSAL],
        local: End {
            auth: "psk",
            id: "carol.strongswan.org",
        },
        remote: End {
            auth: "psk",
            id: "moon.strongswan.org",
        },
        children: BTreeMap::from([("net", child)]),
    };
    done(client, "load-conn", BTreeMap::from([("gw", connection)])).await;
    let net = || Named {
        child: Some("net"),
        ike: None,
    };
    let said = lines(client, "initiate", net()).await;
    assert!(
        said.iter()
            .any(|line| line.starts_with("CHILD_SA net{1} established")),
        "{said:#?}"
    );
    let listed = sas(client).await;
    let sa = &listed[0]["gw"];
    assert_eq!(
        (sa.uniqueid, sa.state.as_str(), sa.ake1.as_str()),
        (1, "ESTABLISHED", "ML_KEM_768")
    );
    let child = &sa.child_sas["net-1"];
    assert_eq!(
        (child.state.as_str(), &child.local_ts[..]),
        ("INSTALLED", &["10.3.0.0/16".to_owned()][..])
    );
    done(client, "rekey", net()).await;
    let gw = Named {
        child: None,
        ike: Some("gw"),
    };
    let said = lines(client, "terminate", gw).await;
    assert_eq!(
        said.last().map(String::as_str),
        Some("IKE_SA deleted"),
        "{said:#?}"
    );
    assert!(sas(client).await.is_empty());
}

#[test]
fn the_crate_rsvici_loads_initiates_lists_rekeys_and_terminates() {
    let Some(peer) = peer("forky") else { return };
    let pair = Pair::start(&peer);
    pair.theirs.load(&swanctl_conf("moon", PROPOSAL)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut client = rsvici::unix::connect(pair.ours.path("run/charon.vici"))
            .await
            .unwrap();
        session(&mut client).await;
    });
}
