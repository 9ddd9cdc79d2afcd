//! `NO_PROXY` of a program that is to come to a production name through the mock's proxy.

/// What is asked without a proxy: what was so already, less what would keep a client from a name that is served, and with
/// loopback, for which some clients ask a proxy too.
pub(super) fn no_proxy<'a>(outer: &str, served: impl Iterator<Item = &'a str> + Clone) -> String {
    let mut entries: Vec<&str> = outer.split(',').map(str::trim).collect();
    entries.retain(|entry| !entry.is_empty() && !served.clone().any(|name| covers(entry, name)));
    for name in LOOPBACK {
        if !entries.iter().any(|entry| entry.eq_ignore_ascii_case(name)) {
            entries.push(name);
        }
    }
    entries.join(",")
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Whether a client may take the entry for one that means the name: some take `example.com` for all hosts below it.
fn covers(entry: &str, name: &str) -> bool {
    let host = match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => entry,
    };
    let host = host.to_ascii_lowercase();
    let host = host.trim_start_matches('*').trim_matches('.');
    host.is_empty()
        || name == host
        || name
            .strip_suffix(host)
            .is_some_and(|above| above.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_client_from_a_served_name_is_taken_out_and_the_rest_stays() {
        let served = ["myregistry.azurecr.io", "login.microsoftonline.com"];
        let loopback = "localhost,127.0.0.1,::1";
        for (outer, expected) in [
            ("", loopback),
            ("*", loopback),
            (
                "*.azurecr.io,.azurecr.io,azurecr.io,AzureCR.io:443",
                loopback,
            ),
            (
                "myregistry.azurecr.io., login.microsoftonline.com",
                loopback,
            ),
            (
                "corp.example, 10.0.0.0/8,other.azurecr.io,recr.io",
                "corp.example,10.0.0.0/8,other.azurecr.io,recr.io,localhost,127.0.0.1,::1",
            ),
            ("::1,LOCALHOST", "::1,LOCALHOST,127.0.0.1"),
            ("fd00::1", "fd00::1,localhost,127.0.0.1,::1"),
        ] {
            assert_eq!(no_proxy(outer, served.into_iter()), expected, "{outer}");
        }
    }
}
