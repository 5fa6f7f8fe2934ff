//! AES-256-GCM under one key: a random nonce of 96 bits, then the ciphertext with its tag.

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use zeroize::{Zeroize as _, Zeroizing};

const NONCE_LENGTH: usize = 12;
const TAG_LENGTH: usize = 16;

/// How long 32 bytes are once they are sealed.
pub(super) const SEALED_SECRET_LENGTH: usize = NONCE_LENGTH + 32 + TAG_LENGTH;

/// 32 secret bytes, wiped when dropped. It has no `Debug`, so nobody prints it.
pub(super) struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Fresh bytes from the operating system.
    pub(super) fn random() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        fill(bytes.as_mut_slice());
        Self(bytes)
    }

    /// Takes 32 bytes over and wipes where they were; `None` for any other number of bytes.
    pub(super) fn take(mut bytes: Vec<u8>) -> Option<Self> {
        let secret = <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new).map(Self);
        bytes.zeroize();
        secret
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A key made ready for use; wiped when dropped.
pub(super) struct Cipher(Aes256Gcm);

impl Cipher {
    pub(super) fn new(secret: &Secret) -> Self {
        Self(Aes256Gcm::new(secret.bytes().into()))
    }

    /// Encrypts, and binds the result to `associated`.
    pub(super) fn seal(&self, associated: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce = random::<NONCE_LENGTH>();
        let payload = Payload { msg: plain, aad: associated };
        let ciphertext = self.0.encrypt(&Nonce::from(nonce), payload);
        let ciphertext = ciphertext.expect("what fits in memory is no too long message");
        [nonce.as_slice(), &ciphertext].concat()
    }

    /// Decrypts what [`seal`](Self::seal) made with the same key and the same `associated`.
    pub(super) fn open(&self, associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LENGTH>()?;
        let payload = Payload { msg: ciphertext, aad: associated };
        self.0.decrypt(&Nonce::from(*nonce), payload).ok()
    }
}

/// Fresh bytes from the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes once it has started");
}
