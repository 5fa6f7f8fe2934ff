//! Where a setting comes from, and what is said of one that cannot be.

use super::*;

fn resolve(
    flags: &[(&'static str, &str)],
    file: &str,
    environment: &[(&str, &str)],
) -> Result<Config, Error> {
    let flags: Vec<_> = flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    let environment =
        environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Config::resolve(&flags, Some(("docket.toml", file)), environment)
}

#[test]
fn a_flag_goes_before_the_environment_before_the_file_before_the_default() {
    let file = "listen = '127.0.0.1:1'\ndata = 'from file'\njournal = 'memory'";
    let environment = [("DOCKET_LISTEN", "127.0.0.1:2"), ("DOCKET_DATA", "from environment")];
    let config = resolve(&[("listen", "127.0.0.1:3")], file, &environment).unwrap();
    assert_eq!(config.text("listen"), "127.0.0.1:3");
    assert_eq!(config.value("listen").source.to_string(), "--listen");
    assert_eq!(config.text("data"), "from environment");
    assert_eq!(config.value("data").source.to_string(), "DOCKET_DATA");
    assert_eq!(config.text("journal"), "memory");
    assert_eq!(config.value("journal").source.to_string(), "docket.toml");
    assert_eq!(config.value("tick").source, Source::Default);
}

#[test]
fn a_channel_has_settings_of_its_own_and_overrides_for_its_life_cycle() {
    let file = "[channel.bookstore]\npay_within = '60s'\nenforce_token = false\nmax_lines = 9";
    let environment = [("DOCKET_CHANNEL_BOOKSTORE_PAY_WITHIN", "90s")];
    let config = resolve(&[], file, &environment).unwrap();
    assert_eq!(config.of_channel("bookstore", "enforce_token").text, "false");
    assert_eq!(config.of_channel("bookstore", "page_size").text, "20");
    let overrides = config.overrides(&Channel::new("bookstore").unwrap());
    let texts: Vec<_> =
        overrides.iter().map(|(name, it)| (name.as_str(), it.text.as_str())).collect();
    assert_eq!(texts, [("max_lines", "9"), ("pay_within", "90s")]);
}

#[test]
fn settings_of_the_kafka_client_are_taken_by_their_own_names() {
    let file = "[kafka]\nsecurity.protocol = 'SSL'\n'ssl.ca.location' = 'ca.pem'\n\
                socket.keepalive.enable = true";
    let environment =
        [("DOCKET_KAFKA_SASL_PASSWORD", "hush"), ("DOCKET_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")];
    let config = resolve(&[], file, &environment).unwrap();
    let texts: Vec<_> =
        config.kafka().iter().map(|(name, it)| (name.as_str(), it.text.as_str())).collect();
    let expected = [
        ("sasl.password", "hush"),
        ("security.protocol", "SASL_SSL"),
        ("socket.keepalive.enable", "true"),
        ("ssl.ca.location", "ca.pem"),
    ];
    assert_eq!(texts, expected);
    assert!(!show(&config, &[]).contains("hush"));
    let error = resolve(&[], "[kafka]\nsecurity.protocol = [1]", &[]).unwrap_err();
    assert!(error.to_string().contains("kafka.security.protocol must be a text"), "{error}");
}

#[test]
fn what_cannot_be_is_named() {
    let error = |file: &str| resolve(&[], file, &[]).unwrap_err().to_string();
    assert!(error("lisen = 'x'").starts_with("docket.toml sets \"lisen\", which is no setting"));
    assert_eq!(
        error("listen = 'here'"),
        "docket.toml: listen cannot be \"here\": it must be an address and a port, such as 127.0.0.1:8080"
    );
    assert_eq!(
        error("[channel.bookstore]\npage_size = 0"),
        "docket.toml: channel.bookstore.page_size cannot be \"0\": it must be a whole number from 1 to 200"
    );
    assert!(error("data = [1]").contains("data must be a text, a number, true or false"));
    assert!(error("data = ").contains("docket.toml cannot be read"));
    let error = error("master_key = 'sesame-is-not-a-key'");
    assert!(error.contains("master_key cannot be as it is"), "{error}");
    assert!(!error.contains("sesame"), "{error}");
    let error = resolve(&[], "", &[("DOCKET_CHANNEL_NOWHERE_X", "1")]).unwrap_err();
    assert!(error.to_string().contains("names no channel"), "{error}");
}
