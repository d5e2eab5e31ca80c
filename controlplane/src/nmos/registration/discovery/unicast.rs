//! DNS-SD over unicast DNS (RFC 6763): PTR, then SRV and TXT of each instance, then its addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::registry::{Advert, shortened};
use super::Finding;

/// Asks again and again, and tells what changes.
pub(super) async fn look(
    domain: Option<String>,
    server: Option<SocketAddr>,
    found: mpsc::Sender<Finding>,
) {
    let mut last: Option<Result<Vec<Advert>, String>> = None;
    loop {
        let now = ask(domain.as_deref(), server).await;
        if last.as_ref() != Some(&now) {
            let finding = match &now {
                Ok(adverts) => Finding::Adverts(adverts.clone()),
                Err(trouble) => Finding::Trouble(trouble.clone()),
            };
            if found.send(finding).await.is_err() {
                return;
            }
            last = Some(now);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// One round: all instances that there are. What stands in the way of one is said in its advertisement, and does not
/// concern the others.
async fn ask(domain: Option<&str>, server: Option<SocketAddr>) -> Result<Vec<Advert>, String> {
    // Made anew for each round: the system's configuration may have changed since.
    let (resolver, service) = resolver(domain, server)?;
    let instances = lookup(&resolver, &service, RecordType::PTR);
    let instances = tokio::time::timeout(PATIENCE, instances).await;
    let instances = instances.unwrap_or_else(|_| Err(silence()))?;
    let mut names: Vec<Name> = Vec::new();
    for data in instances {
        if let RData::PTR(name) = data
            && !names.contains(&name.0)
        {
            names.push(name.0);
        }
    }
    if names.len() > INSTANCES_MAX {
        tracing::warn!(
            "NMOS: more than {INSTANCES_MAX} registries at {service}; the rest is left out"
        );
        names.truncate(INSTANCES_MAX);
    }
    let mut asked = JoinSet::new();
    for name in names {
        asked.spawn(instance(resolver.clone(), name));
    }
    let mut adverts = Vec::new();
    while let Some(advert) = asked.join_next().await {
        match advert {
            Ok(advert) => adverts.push(advert),
            Err(error) => tracing::error!("NMOS: a look at a registry has failed: {error}"),
        }
    }
    adverts.sort_by(|one: &Advert, other: &Advert| one.name.cmp(&other.name));
    Ok(adverts)
}

/// The resolver, and the name to begin with.
fn resolver(
    domain: Option<&str>,
    server: Option<SocketAddr>,
) -> Result<(TokioResolver, Name), String> {
    let system = match (domain, server) {
        (Some(_), Some(_)) => None,
        _ => {
            let system = read_system_conf();
            let system = system.map_err(|error| format!("the system's resolver: {error}"))?;
            Some(system.0)
        }
    };
    let domain = match (domain, &system) {
        (Some(domain), _) => Name::from_ascii(domain).map_err(|error| error.to_string())?,
        (None, system) => {
            let system = system.as_ref();
            let search =
                system.and_then(|system| system.domain().or_else(|| system.search().first()));
            search
                .cloned()
                .ok_or("the system's resolver has no search domain, and nmos.registration.domain is not set")?
        }
    };
    let mut service = Name::from_ascii(REGISTER_SERVICE)
        .and_then(|service| service.append_name(&domain))
        .map_err(|error| error.to_string())?;
    service.set_fqdn(true);
    let config = match (server, system) {
        (None, Some(system)) => system,
        (None, None) => return Err("there is no DNS server".to_owned()),
        (Some(server), _) => {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            let connections = connections.map(|mut connection| {
                connection.port = server.port();
                connection
            });
            let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
            ResolverConfig::from_name_servers(vec![server])
        }
    };
    let mut options = ResolverOpts::default();
    options.timeout = LOOKUP_PATIENCE;
    options.attempts = 2;
    // A zone may change at any moment, and is asked every two seconds to see it.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build();
    let resolver = resolver.map_err(|error| error.to_string())?;
    Ok((resolver, service))
}

/// What is said of one instance. What is missing is left out, and makes it unusable with the reason.
async fn instance(resolver: TokioResolver, name: Name) -> Advert {
    let mut advert = Advert {
        name: shortened(name.to_utf8().trim_end_matches('.')),
        ..Advert::default()
    };
    let done = tokio::time::timeout(PATIENCE, look_up(&resolver, &name, &mut advert)).await;
    advert.trouble = done.unwrap_or_else(|_| Err(silence())).err();
    advert
}

async fn look_up(resolver: &TokioResolver, name: &Name, advert: &mut Advert) -> Result<(), String> {
    for data in lookup(resolver, name, RecordType::TXT).await? {
        if let RData::TXT(txt) = data {
            for text in &*txt.txt_data {
                take(advert, text);
            }
        }
    }
    let services = lookup(resolver, name, RecordType::SRV).await?;
    let service = services.into_iter().find_map(|data| match data {
        RData::SRV(service) => Some(service),
        _ => None,
    });
    let Some(service) = service else {
        return Ok(());
    };
    advert.host = service.target.to_ascii();
    advert.port = service.port;
    let (four, six) = tokio::join!(
        lookup(resolver, &service.target, RecordType::A),
        lookup(resolver, &service.target, RecordType::AAAA),
    );
    // One address is enough, though the other kind cannot be asked for.
    for found in [&four, &six].into_iter().flatten() {
        advert
            .addresses
            .extend(found.iter().filter_map(|data| match data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            }));
    }
    advert.addresses.sort_unstable();
    match advert.addresses.is_empty() {
        true => four.and(six).map(drop),
        false => Ok(()),
    }
}

fn silence() -> String {
    format!("no answers within {PATIENCE:?}")
}

/// One string of a TXT record. Of a key that comes twice, the first one counts (RFC 6763 6.4).
fn take(advert: &mut Advert, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let (key, value) = text.split_once('=').unwrap_or((&text, ""));
    let field = match key.to_ascii_lowercase().as_str() {
        "api_ver" => &mut advert.api_ver,
        "api_proto" => &mut advert.api_proto,
        "api_auth" => &mut advert.api_auth,
        "pri" => &mut advert.pri,
        _ => return,
    };
    field.get_or_insert_with(|| value.to_owned());
}

/// The records of this type; none is an answer too, and no answer is an error.
async fn lookup(
    resolver: &TokioResolver,
    name: &Name,
    kind: RecordType,
) -> Result<Vec<RData>, String> {
    match resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => {
            let answers = lookup.answers().iter();
            Ok(answers.map(|record| record.data.clone()).collect())
        }
        Err(error) if NetError::is_no_records_found(&error) => Ok(Vec::new()),
        Err(error) => Err(shortened(&format!("{kind} of {name}: {error}"))),
    }
}

/// What registries are advertised as (IS-04 v1.3).
const REGISTER_SERVICE: &str = "_nmos-register._tcp";

/// Between two rounds.
const PERIOD: Duration = Duration::from_secs(2);

/// How long one server has for one answer.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(1);

/// How long it may take to find all instances, and then all that is asked about one of them.
const PATIENCE: Duration = Duration::from_secs(4);

/// Instances that are asked for at a time, which bounds the packets that a hostile zone can cause.
const INSTANCES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_key_that_comes_twice_the_first_one_counts() {
        let mut advert = Advert::default();
        for text in [
            "API_VER=v1.3",
            "api_ver=v1.0",
            "pri",
            "other=1",
            "api_proto=a=b",
            "\u{e9}",
        ] {
            take(&mut advert, text.as_bytes());
        }
        take(&mut advert, b"api_auth=\xff");
        assert_eq!(advert.api_ver.as_deref(), Some("v1.3"));
        assert_eq!(advert.pri.as_deref(), Some(""));
        assert_eq!(advert.api_proto.as_deref(), Some("a=b"));
        assert_eq!(advert.api_auth.as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn the_name_to_begin_with_is_that_of_the_domain() {
        let server = Some("127.0.0.1:5353".parse().unwrap());
        for domain in ["example.com", "example.com."] {
            let (_, name) = resolver(Some(domain), server).unwrap();
            assert_eq!(name.to_ascii(), "_nmos-register._tcp.example.com.");
        }
        let long = "a.".repeat(120);
        assert!(resolver(Some(&long), server).is_err());
    }
}
