//! A listener of a broker that asks who comes: over TLS, with a certificate that was made for it, and
//! only whoever has the password.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Who may come, and the password.
pub const USER: &str = "shop";
pub const PASSWORD: &str = "the-password-of-the-shop-in-tests";

/// What the broker calls the listener.
pub(super) const LISTENER: &str = "GUARDED";

pub struct Guard {
    port: u16,
    folder: PathBuf,
}

impl Guard {
    /// Makes a certificate for this machine, signed by nobody else, in a folder that is there.
    pub(super) fn new(folder: &Path, port: u16) -> Self {
        let it = Self { port, folder: folder.to_owned() };
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-noenc", "-days", "2", "-subj", "/CN=a broker of the tests"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
            .arg(it.key())
            .arg("-out")
            .arg(it.certificate())
            .output()
            .expect("openssl starts, which tests/run installs");
        assert!(made.status.success(), "{made:?}");
        // A broker reads both from one file.
        let both = [it.key(), it.certificate()].map(|path| fs::read_to_string(path).unwrap());
        fs::write(it.keystore(), both.concat()).unwrap();
        it
    }

    /// Where those who are let in find the broker.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What says that the broker is the one it says it is.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    fn keystore(&self) -> PathBuf {
        self.folder.join("keystore.pem")
    }

    /// What the broker is told.
    pub(super) fn settings(&self) -> String {
        let listener = format!("listener.name.{}", LISTENER.to_lowercase());
        format!(
            "{listener}.ssl.keystore.type=PEM\n\
             {listener}.ssl.keystore.location={}\n\
             {listener}.sasl.enabled.mechanisms=PLAIN\n\
             {listener}.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
             required user_{USER}=\"{PASSWORD}\";\n",
            self.keystore().display()
        )
    }
}
