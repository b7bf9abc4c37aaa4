//! The operator's own settings of package indexes, proxies and certificates. The step that
//! fetches packages has them, and no other step: they may hold passwords.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// Variables that are kept, in capital letters; programs read some in both cases.
const KEPT: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "UV_INSECURE_HOST",
    "UV_HTTP_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_OFFLINE",
];
/// Beginnings of more such variables.
const KEPT_BEGINNINGS: &[&str] = &["PIP_", "UV_INDEX"];
/// Settings of npm that are kept: of its registries, certificates and proxies.
const KEPT_OF_NPM: &[&str] = &[
    "REGISTRY",
    "PROXY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "HTTPS-PROXY",
    "NOPROXY",
    "CA",
    "CAFILE",
    "CERT",
    "KEY",
    "STRICT_SSL",
    "STRICT-SSL",
];
const OF_NPM: &str = "NPM_CONFIG_";

/// Files of the system that hold such settings.
const OF_SYSTEM: &[&str] = &[
    "/etc/pip.conf",
    "/etc/xdg/pip/pip.conf",
    "/etc/uv/uv.toml",
    "/etc/xdg/uv/uv.toml",
    "/etc/npmrc",
    "/usr/etc/npmrc",
    "/usr/local/etc/npmrc",
];

/// Files below the operator's own folders that hold such settings, and where a tool finds
/// a copy below its `HOME`.
fn of_user() -> Vec<(PathBuf, &'static str)> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let Some(home) = absolute("HOME") else { return Vec::new() };
    let config = absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
    let npm = absolute("NPM_CONFIG_USERCONFIG").or_else(|| absolute("npm_config_userconfig"));
    vec![
        (npm.unwrap_or_else(|| home.join(".npmrc")), ".npmrc"),
        (home.join(".pip/pip.conf"), ".pip/pip.conf"),
        (config.join("pip/pip.conf"), ".config/pip/pip.conf"),
        (uv_settings(&config), ".config/uv/uv.toml"),
    ]
}

/// The file that uv takes its settings from.
fn uv_settings(config: &Path) -> PathBuf {
    let named = env::var_os("UV_CONFIG_FILE").map(PathBuf::from);
    let all = [config.join("uv/uv.toml"), "/etc/uv/uv.toml".into(), "/etc/xdg/uv/uv.toml".into()];
    let found = || all.iter().find(|path| path.is_file()).cloned();
    named.or_else(found).unwrap_or_default()
}

/// The operator's variables, and copies of the operator's files in a tool's `HOME`.
pub(super) fn environment(home: &Path) -> Vec<(OsString, OsString)> {
    let mut kept: Vec<_> = env::vars_os().filter(|(name, _)| is_kept(name)).collect();
    for (file, name) in of_user() {
        let copy = home.join(name);
        let folder = copy.parent().unwrap_or(home);
        // A file that cannot be read is as one that is not there: most are not.
        let _ = fs::create_dir_all(folder).and_then(|()| fs::copy(&file, &copy));
    }
    // Without it, uv looks for settings in all folders above its working folder.
    let uv = home.join(".config/uv/uv.toml");
    kept.push(match uv.is_file() {
        true => ("UV_CONFIG_FILE".into(), uv.into()),
        false => ("UV_NO_CONFIG".into(), "1".into()),
    });
    kept
}

/// The files and folders that a tool reads for the operator's settings: those that hold
/// them, and those that they name, as certificates or folders of packages.
pub(super) fn files(program: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = OF_SYSTEM.iter().map(PathBuf::from).collect();
    let prefixes = program.ancestors().skip(2).take(1);
    files.extend(prefixes.map(|prefix| prefix.join("etc/npmrc")));
    let texts = files.iter().cloned().chain(of_user().into_iter().map(|(file, _)| file));
    let texts = texts.filter_map(|file| fs::read_to_string(file).ok());
    let values = env::vars_os().filter(|(name, _)| is_kept(name));
    let values = values.map(|(_, value)| value.to_string_lossy().into_owned());
    let named: Vec<PathBuf> = texts.chain(values).flat_map(|text| paths_in(&text)).collect();
    files.extend(named);
    files
}

fn is_kept(name: &OsStr) -> bool {
    let Some(name) = name.to_str().map(str::to_uppercase) else { return false };
    let is_of_npm = |rest: &str| {
        KEPT_OF_NPM.contains(&rest) || rest.starts_with("//") || rest.ends_with(":REGISTRY")
    };
    KEPT.contains(&&*name)
        || KEPT_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || name.strip_prefix(OF_NPM).is_some_and(is_of_npm)
}

/// The absolute paths that a text names, but not the root.
fn paths_in(text: &str) -> Vec<PathBuf> {
    let ends = |c: char| c.is_whitespace() || "=\"',;[]".contains(c);
    let words = text.split(ends).map(|word| word.strip_prefix("file://").unwrap_or(word));
    let words = words.filter(|word| word.starts_with('/') && !word.starts_with("//"));
    words.map(PathBuf::from).filter(|path| path.parent().is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_indexes_and_proxies_are_kept_and_nothing_else() {
        for (name, kept) in [
            ("PIP_INDEX_URL", true),
            ("UV_INDEX_URL", true),
            ("UV_INDEX_INTERNAL_PASSWORD", true),
            ("UV_PYTHON", false),
            ("npm_config_registry", true),
            ("npm_config_@acme:registry", true),
            ("npm_config_//npm.example/:_authToken", true),
            ("npm_config_script_shell", false),
            ("npm_config_node_options", false),
            ("https_proxy", true),
            ("NO_PROXY", true),
            ("NODE_EXTRA_CA_CERTS", true),
            ("NODE_OPTIONS", false),
            ("PYTHONPATH", false),
            ("AWS_SECRET_ACCESS_KEY", false),
            ("MYWEB_SECRET", false),
        ] {
            assert_eq!(is_kept(OsStr::new(name)), kept, "{name}");
        }
    }

    #[test]
    fn settings_name_files_by_absolute_paths() {
        let text = "[global]\nfind-links = /opt/wheels\n  file:///srv/more\ncert=\"/etc/ca.pem\"\n\
                    index-url = https://pypi.example/simple\n//npm.example/:_authToken=x\nroot = /\n";
        let expected = ["/opt/wheels", "/srv/more", "/etc/ca.pem"].map(PathBuf::from);
        assert_eq!(paths_in(text), expected);
    }
}
