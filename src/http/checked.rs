//! A password looked at, and what it proves of an account.

use std::net::IpAddr;

use events::{Digest, Sealed};

use super::{
    App,
    lockout::{Attempt, RetryAfter},
    passwords::{self, PASSWORD},
};
use crate::{domain::Credential, engine::KnownAccount};

/// What came of looking at a password.
pub(super) struct Checked {
    /// What is proven now.
    pub(super) credential: Credential,
    attempt: Option<Attempt>,
}

impl App {
    /// What a password proves of an account, beside the session that is proven already. A wrong
    /// one counts against the login and the caller's address; say [`Checked::settle`] what came of
    /// the command.
    pub(super) async fn check_password<E>(
        &self,
        account: &KnownAccount,
        password: &str,
        address: IpAddr,
        session: Option<Digest>,
    ) -> Result<Checked, E>
    where
        E: From<RetryAfter> + From<passwords::Error>,
    {
        let attempt = self.lockout.check(account.login, address).await?;
        let ring = self.keys.clone();
        let open = move |sealed: &Sealed| ring.open(sealed, PASSWORD);
        match self.passwords.verify(&account.password, open, password).await {
            Ok(true) => {
                attempt.succeeded();
                let password = Some(account.password_version);
                let credential = Credential::Verified { session, password };
                Ok(Checked { credential, attempt: None })
            }
            Ok(false) => Ok(Checked { attempt: Some(attempt), ..Checked::unproven() }),
            Err(error) => {
                attempt.unused();
                Err(error.into())
            }
        }
    }
}

impl Checked {
    /// Nothing is proven, and no password was looked at.
    pub(super) fn unproven() -> Self {
        Self { credential: Credential::Failed, attempt: None }
    }

    /// Whether the password was right.
    pub(super) fn proves(&self) -> bool {
        self.credential != Credential::Failed
    }

    /// A wrong password in a repeated request whose first was accepted is nobody guessing.
    pub(super) fn settle<T, E>(self, reply: &Result<T, E>) {
        let Some(attempt) = self.attempt else { return };
        match reply {
            Ok(_) => attempt.unused(),
            Err(_) => attempt.failed(),
        }
    }
}
