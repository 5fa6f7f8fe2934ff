//! Brokers that ask who comes: over TLS, and with a password.

use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    site::{Nodes, OPERATOR, Site, get, post},
    support::{
        kafka::{
            Cluster,
            guard::{PASSWORD, USER},
        },
        program,
    },
};

/// A site that is told what these brokers want to know.
fn site(brokers: &Cluster) -> Site {
    let guard = brokers.guard();
    Site::on(&guard.address(), 1)
        .with("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
        .with("KAFKA_SASL_MECHANISM", "PLAIN")
        .with("KAFKA_SASL_USERNAME", USER)
        .with("KAFKA_SASL_PASSWORD", PASSWORD)
        .with("KAFKA_SSL_CA_LOCATION", guard.certificate().to_str().unwrap())
}

/// Runs `docket` with the settings of the site.
fn docket(site: &Site, args: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(args).envs(site.variables()).current_dir(site.data(0).parent().unwrap());
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_work_on_brokers_that_ask_for_tls_and_a_password() {
    let brokers = Cluster::guarded();
    let mut nodes = Nodes::start(site(&brokers), 2).await;
    let writer = nodes.writer().await;
    let body = json!({ "login": "ann", "password": "a long password" });
    let made = post(&nodes.client(1 - writer), "", "/v1/accounts", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    for node in 0..2 {
        let path = format!("/v1/accounts/{}", made.body["account"].as_str().unwrap());
        let told = get(&nodes.client(node), OPERATOR, &path).await;
        assert_eq!(told.body["login"], "ann", "{told:?}");
    }
    nodes.everything_is_published().await;

    let told = docket(&nodes.site, &["cluster", "status", "--json"]);
    assert!(told.status.success(), "{told:?}");
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["writer"], format!("node-{writer}"), "{told}");

    for node in [1 - writer, writer] {
        let ended = nodes.nodes[node].take().unwrap().terminate();
        assert!(ended.status.success() && !ended.log.contains(PASSWORD), "{ended:?}");
    }
    let from = format!("kafka://{}/{}", brokers.guard().address(), nodes.site.prefix);
    let to = format!("sqlite:{}", nodes.site.data(2).display());
    let data = nodes.site.data(0);
    let words = ["--from", &from, "--to", &to, "--data", data.to_str().unwrap()];
    let copied = docket(&nodes.site, &[&["journal", "copy"], &words[..]].concat());
    assert!(copied.status.success(), "{copied:?}");
}

#[test]
fn whoever_is_not_let_in_is_told_why() {
    let brokers = Cluster::guarded();
    let wrong = "a-password-that-is-wrong";
    let refused = [
        (site(&brokers).with("KAFKA_SASL_PASSWORD", wrong), "Authentication failed"),
        (site(&brokers).without("KAFKA_SSL_CA_LOCATION"), "certificate could not be verified"),
        // They hang up on who begins without TLS.
        (site(&brokers).with("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"), "in state APIVERSION_QUERY"),
    ];
    let began = Instant::now();
    let nodes = refused.each_ref().map(|(site, _)| site.spawn(0));
    for (node, (_, says)) in nodes.into_iter().zip(&refused) {
        let ended = node.ended();
        println!("after {:.1?}: {}", began.elapsed(), ended.log);
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(
            ended.log.contains("cannot reach the brokers") && ended.log.contains(says),
            "{says}"
        );
        assert!(![PASSWORD, wrong].iter().any(|it| ended.log.contains(it)), "{}", ended.log);
    }
    // Fifteen seconds for the brokers, five in which it says on /readyz what is wrong.
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());

    let (site, says) = &refused[0];
    let from = format!("kafka://{}/{}", brokers.guard().address(), site.prefix);
    let copy = ["journal", "copy", "--from", &from, "--to", "sqlite:new", "--data", "0"];
    for words in [&["cluster", "status"][..], &copy] {
        let refused = docket(site, words);
        let said = String::from_utf8(refused.stderr).unwrap();
        println!("{said}");
        assert!(
            !refused.status.success() && said.contains(says) && !said.contains(wrong),
            "{said}"
        );
    }
    // What is misspelled may be a password too.
    let misspelled = [&copy[..], &["--kafka-setting", "sasl.passwrd=hush-hush"]].concat();
    let said = String::from_utf8(docket(site, &misspelled).stderr).unwrap();
    assert!(said.contains("sasl.passwrd") && !said.contains("hush-hush"), "{said}");
}
