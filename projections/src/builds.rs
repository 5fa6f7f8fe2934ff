//! A view's folders: one for each time that its rows were built, `wallets.v1` and then
//! `wallets.v1.2`, so that new rows can be built beside those that serve. A store must stay where
//! it was opened, so no folder is renamed to say what it is for: how far it stands says that.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{folder, store::Error};

/// One of a view's folders. The order is that of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Build {
    /// The version of the rows.
    pub version: u32,
    /// Which build of that version, from 1 on.
    pub number: u32,
}

impl Build {
    /// Where it lies among `views`.
    pub fn path(self, views: &Path, view: &str) -> PathBuf {
        views.join(self.name(view))
    }

    fn name(self, view: &str) -> String {
        let Self { version, number } = self;
        match number {
            1 => format!("{view}.v{version}"),
            _ => format!("{view}.v{version}.{number}"),
        }
    }

    fn parse(view: &str, name: &str) -> Option<Self> {
        let numbers = name.strip_prefix(view)?.strip_prefix(".v")?;
        let (version, number) = numbers.split_once('.').unwrap_or((numbers, "1"));
        let build = Self { version: version.parse().ok()?, number: number.parse().ok()? };
        (build.name(view) == name).then_some(build)
    }
}

/// The folders that there are, oldest first.
pub(crate) fn list(views: &Path, view: &str) -> Result<Vec<Build>, Error> {
    let names = names(views)?;
    let mut builds: Vec<_> = names.iter().filter_map(|name| Build::parse(view, name)).collect();
    builds.sort_unstable();
    Ok(builds)
}

/// Goes on with what was being deleted when the last run ended.
pub(crate) fn tidy(views: &Path, view: &str) -> Result<(), Error> {
    for name in names(views)? {
        if let Some(before) = name.strip_suffix(folder::GONE)
            && Build::parse(view, before).is_some()
        {
            folder::remove(&views.join(name))?;
        }
    }
    Ok(())
}

/// The folder to build the rows of a version in, if those that there are shall stay.
pub(crate) fn next(views: &Path, view: &str, version: u32) -> Result<Build, Error> {
    let names = names(views)?;
    // Those that are being deleted have their numbers yet.
    let taken = names.iter().filter_map(|name| {
        let build = Build::parse(view, name.strip_suffix(folder::GONE).unwrap_or(name))?;
        (build.version == version).then_some(build.number)
    });
    Ok(Build { version, number: taken.max().map_or(1, |number| number.saturating_add(1)) })
}

fn names(views: &Path) -> Result<Vec<String>, Error> {
    fs::create_dir_all(views).map_err(|error| Error::io("making", views, error))?;
    let reading = |error| Error::io("reading", views, error);
    let entries = fs::read_dir(views).map_err(reading)?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
    names.filter_map(Result::transpose).collect::<Result<_, _>>().map_err(reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_told_by_their_names() {
        let views = tempfile::tempdir().unwrap();
        for name in [
            "wallets.v2",
            "wallets.v1.10",
            "wallets.v1.9",
            "wallets.v1",
            "wallets.v1.12.gone",
            "wallets.v1.damaged-1",
            "wallets.v1.damaged-1.gone",
            "wallets.v01",
            "wallets.v1.1",
            "wallets.v1.2.3",
            "wallets.v-1",
            "wallets.v99999999999",
            "wallets",
            "wallet.v1",
            "orders.v1",
        ] {
            fs::create_dir(views.path().join(name)).unwrap();
        }
        let names = || {
            let builds = list(views.path(), "wallets").unwrap();
            builds.iter().map(|build| build.name("wallets")).collect::<Vec<_>>()
        };
        assert_eq!(names(), ["wallets.v1", "wallets.v1.9", "wallets.v1.10", "wallets.v2"]);
        let next = |version| next(views.path(), "wallets", version).unwrap().name("wallets");
        assert_eq!([next(1), next(2), next(3)], ["wallets.v1.13", "wallets.v2.2", "wallets.v3"]);
        tidy(views.path(), "wallets").unwrap();
        assert_eq!([next(1), next(2), next(3)], ["wallets.v1.11", "wallets.v2.2", "wallets.v3"]);
        assert_eq!(names().len(), 4);
        assert!(views.path().join("wallets.v1.damaged-1.gone").exists(), "not one of ours");
    }
}
