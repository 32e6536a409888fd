use hikyaku_ingress::service::Service;

use super::*;

fn from_toml(text: &str) -> Result<Config, String> {
    of_role(Role::Up, text)
}

fn of_role(role: Role, text: &str) -> Result<Config, String> {
    let figment = Figment::new().merge(Toml::string(text));
    check(role, figment.extract().map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

#[test]
fn nothing_given_is_a_configuration() {
    let config = from_toml("").unwrap();
    let [only] = &config.places[..] else { panic!("{:?}", config.places) };
    assert_eq!((only.address, &only.service), ("127.0.0.1:2525".parse().unwrap(), &Service::RELAY));
    assert!(config.tls.is_none());
    assert!(config.relay_from.is_empty(), "nobody may relay by default");
    assert!(matches!(config.nats, Broker::Embedded(None)));
}

#[test]
fn all_problems_are_told_at_once() {
    let error = from_toml(
        "smtp = [\"here\"]\nrelay_from = [\"10.0.0.0/40\"]\nown_domain = [\"x.example\"]\nreplicas = 2\n\
         [delivery]\nretry_base_seconds = 5\n[ingress]\nmax_recipients = 1",
    )
    .unwrap_err();
    for key in [
        "smtp",
        "relay_from",
        "own_domain",
        "replicas",
        "delivery.retry_base_seconds",
        "ingress.max_recipients",
    ] {
        assert!(error.contains(&format!("- {key}: ")), "{key} is missing in {error}");
    }
}

#[test]
fn retry_clocks_are_checked_together() {
    let error = from_toml(
        "[delivery]\nretry_base_seconds = 600\nretry_cap_seconds = 300\nretry_backoff = \"slow\"\n\
         retry_jitter = 0.7\nretry_5xx = 10\ngive_up_temp_seconds = 600\ngive_up_noreply_seconds = 1\n\
         routed_give_up_seconds = 99999999",
    )
    .unwrap_err();
    for key in [
        "retry_cap_seconds",
        "retry_backoff",
        "retry_jitter",
        "retry_5xx",
        "give_up_temp_seconds",
        "give_up_noreply_seconds",
        "routed_give_up_seconds",
    ] {
        assert_eq!(error.matches(&format!("- delivery.{key}: ")).count(), 1, "{key} in {error}");
    }
}

#[test]
fn retry_clocks_are_those_of_the_file() {
    let text = "[delivery]\nretry_base_seconds = 60\nretry_backoff = \"fixed\"\nretry_5xx = 9\n\
                give_up_temp_seconds = 3600\nrouted_give_up_seconds = 7200\nretry_clock_rate = 60";
    let retry = from_toml(text).unwrap().delivery.retry;
    let hours = |hours: u64| Duration::from_secs(3600 * hours);
    assert_eq!((retry.internet.give_up_temp, retry.internet.give_up_noreply), (hours(1), hours(24)));
    assert_eq!((retry.routed.give_up_temp, retry.routed.give_up_noreply), (hours(2), hours(2)));
    for schedule in [retry.internet, retry.routed] {
        assert_eq!((schedule.retry_5xx, schedule.clock_rate), (9, 60));
        assert_eq!(schedule.interval(5), Duration::from_secs(1), "one minute, always, on a clock of 60");
    }
}

#[test]
fn submission_needs_certificates() {
    let error = from_toml("submission = [\"127.0.0.1:0\"]").unwrap_err();
    assert!(error.contains("- submission: ") && error.contains("tls.certificate"), "{error}");
    let error = from_toml("[tls]\ncertificate = \"a.pem\"\nmin_version = \"1.1\"").unwrap_err();
    assert!(error.contains("- tls.key: ") && error.contains("- tls.min_version: "), "{error}");
}

#[test]
fn submission_listeners_are_those_of_the_file() {
    let tls = "[tls]\ncertificate = [\"a.pem\", \"b.pem\"]\nkey = [\"a.key\", \"b.key\"]\n";
    let places =
        "submission = [\"192.0.2.1:587\", \"[::1]:587=Test.JP\"]\nsubmissions = [\"192.0.2.1:465\"]\n";
    let config = from_toml(&format!("{places}{tls}")).unwrap();
    let domain = "test.jp".parse().ok();
    let services: Vec<_> = config.places.iter().map(|place| (place.key, place.service.clone())).collect();
    let expected = [
        ("smtp", Service::RELAY),
        ("submission", Service::submission(TlsStart::OnRequest, None)),
        ("submission", Service::submission(TlsStart::OnRequest, domain)),
        ("submissions", Service::submission(TlsStart::AtOnce, None)),
    ];
    assert_eq!(services, expected);
    assert_eq!(config.tls.unwrap().pairs.len(), 2);
    for bad in ["here", "192.0.2.1:587=", "192.0.2.1:587=a b"] {
        let error = from_toml(&format!("submission = [\"{bad}\"]\n{tls}")).unwrap_err();
        assert_eq!(error.matches("- submission: ").count(), 1, "{error}");
    }
}

/// SEED-026.
#[test]
fn seed_026_logins_are_those_of_the_file() {
    let smart = "[delivery.logins.smart-1]\nuser = \"u@example.org\"\npassword_file = \"f\"\n";
    let delivery = from_toml(&format!("{smart}mechanism = \"plain\"\n")).unwrap().delivery;
    let login = &delivery.logins[&"smart-1".parse().unwrap()];
    assert_eq!((login.user.as_str(), login.mechanism.unwrap().keyword()), ("u@example.org", "PLAIN"));
    assert!(from_toml("").unwrap().delivery.logins.is_empty());
    for (text, key) in [
        (smart.replace("smart-1", "\"a b\""), "delivery.logins"),
        (smart.replace("u@example.org", ""), "delivery.logins.smart-1.user"),
        (format!("{smart}mechanism = \"digest-md5\""), "delivery.logins.smart-1.mechanism"),
        ("[delivery.tls]\nmin_version = \"1.1\"".to_owned(), "delivery.tls.min_version"),
        (
            "[delivery.tls]\nhandshake_timeout_seconds = 0".to_owned(),
            "delivery.tls.handshake_timeout_seconds",
        ),
    ] {
        let error = from_toml(&text).unwrap_err();
        assert!(error.contains(&format!("- {key}: ")), "{key} is missing in {error}");
    }
    let error = from_toml("[delivery.logins.a]\nuser = \"u\"\npassword = \"s3cret\"").unwrap_err();
    assert!(error.contains("password") && !error.contains("s3cret"), "{error}");
}

#[test]
fn unknown_keys_are_refused() {
    let error = from_toml("x_relay = \"off\"").unwrap_err();
    assert!(error.contains("x_relay"), "{error}");
}

#[test]
fn own_domains_name_a_host_and_a_port() {
    let config = from_toml("own_domain = [\"Example.ORG=[2001:db8::1]:2525\", \"b.example=mx:25\"]").unwrap();
    let shown: Vec<String> =
        config.own_domains.iter().map(|own| format!("{} {} {}", own.domain, own.host, own.port)).collect();
    assert_eq!(shown, ["example.org 2001:db8::1 2525", "b.example mx 25"]);
}

#[test]
fn ldap_servers_are_asked_safely() {
    let ldap =
        |rest: &str| from_toml(&format!("[ldap.corp]\nbase = \"dc=x\"\n{rest}")).map(|config| config.ldap);
    for url in ["ldaps://h", "ldaps://h:1636/", "ldap://127.0.0.1:389", "ldap://[::1]", "ldap://localhost"] {
        ldap(&format!("url = \"{url}\"")).unwrap();
    }
    ldap("url = \"ldap://h\"\nstarttls = true").unwrap();
    ldap("url = \"ldap://h\"\nplaintext = true").unwrap();
    for url in ["ldap://h", "ldap://127.0.0.1.evil.example", "ldap://localhost.evil.example:389"] {
        let error = ldap(&format!("url = \"{url}\"")).unwrap_err();
        assert!(error.contains("- ldap.corp.url: ") && error.contains("in the clear"), "{error}");
    }
    for url in ["h", "http://h", "ldaps://", "ldaps://u:p@h", "ldaps://h/dc=x"] {
        let error = ldap(&format!("url = \"{url}\"")).unwrap_err();
        assert!(error.contains("want ldaps://host"), "{error}");
    }
    let error = ldap(
        "url = \"ldaps://h\"\nbind_dn = \"cn=r\"\nlogin_filter = \"mail=x\"\n\
         recipient_filter = \"(mail=*)\"\ntimeout_seconds = 60",
    )
    .unwrap_err();
    for key in ["bind_dn", "login_filter", "recipient_filter", "timeout_seconds"] {
        assert!(error.contains(&format!("- ldap.corp.{key}: ")), "{key} in {error}");
    }
}

/// The file that documents the defaults must be the defaults.
#[test]
fn the_documented_file_is_the_default() {
    let documented = include_str!("../config/hikyaku.toml");
    let uncommented: String = documented
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .filter(|line| !line.starts_with("hostname"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(format!("{:?}", from_toml(&uncommented).unwrap()), format!("{:?}", from_toml("").unwrap()));
}

const MUTUAL: &str = "certificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n";

#[test]
fn what_others_can_reach_must_know_who_calls() {
    let policy = "policy_listen = \"[::]:7002\"\n[grpc]\n";
    let error = of_role(Role::Policy, policy).unwrap_err();
    assert!(
        error.contains("- policy_listen: [::]:7002: other machines reach it: give grpc.certificate"),
        "{error}"
    );
    assert!(error.contains("grpc.callers does not say who may call"), "{error}");
    let callers = "callers = \"f\"\n";
    let one_way = "certificate = \"c\"\nkey = \"k\"\n";
    assert!(of_role(Role::Policy, &format!("{policy}{callers}{one_way}")).is_err());
    of_role(Role::Policy, &format!("{policy}{callers}{MUTUAL}")).unwrap();
    of_role(Role::Policy, &format!("{policy}{callers}plaintext = true")).unwrap();
    // It does not listen there.
    of_role(Role::Ingress, policy).unwrap();
    of_role(Role::Delivery, policy).unwrap();
    let admin = "admin_listen = \"192.0.2.1:7003\"";
    assert!(of_role(Role::Delivery, admin).unwrap_err().contains("- admin_listen: "));
    assert!(of_role(Role::Up, admin).is_err());
    of_role(Role::Policy, admin).unwrap();
    of_role(Role::Up, &format!("{admin}\n[grpc]\nplaintext = true")).unwrap();
    of_role(Role::Policy, "policy_listen = \"[::1]:7002\"").unwrap();
}

#[test]
fn certificates_and_endpoints_fit_together() {
    for (text, key) in [
        ("[grpc]\ncertificate = \"c\"", "grpc.certificate"),
        ("[grpc]\nkey = \"k\"", "grpc.key"),
        ("[grpc]\nclient_ca = \"a\"", "grpc.client_ca"),
        ("policy = \"https://p:7002\"", "policy"),
        ("policy = \"http://p:7002, https://q:7002\"", "policy: \"https://q:7002\""),
        ("policy = \"http://p:7002\"\n[grpc]\nca = \"a\"", "policy"),
    ] {
        let error = of_role(Role::Ingress, text).unwrap_err();
        assert!(error.contains(&format!("- {key}: ")), "{key} is missing in {error}");
    }
    let error = from_toml(&format!("[grpc]\n{MUTUAL}")).unwrap_err();
    assert!(error.contains("- grpc.ca: missing"), "{error}");
    let delivery = of_role(Role::Delivery, "[grpc]\nca = \"a\"").unwrap();
    assert_eq!(delivery.grpc.policy_endpoint, "https://127.0.0.1:7002");
    let up = from_toml(&format!("[grpc]\n{MUTUAL}ca = \"a\"")).unwrap().grpc;
    let ours = up.with_operator_token("t".into()).to_ourselves("127.0.0.1:9".parse().unwrap());
    assert_eq!(ours.policy_endpoint, "https://127.0.0.1:9");
    assert_eq!(ours.client.token_file, Some("t".into()));
}

#[test]
fn a_password_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret\n").unwrap();
    let text = format!(
        "nats = \"nats://n:4222\"\n[nats_login]\nuser = \"u\"\npassword_file = {:?}",
        file.to_str().unwrap()
    );
    let config = from_toml(&text).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    let Broker::Given(nats) = config.nats else { panic!("the broker was given") };
    assert_eq!(secrecy::ExposeSecret::expose_secret(&nats.login.unwrap().password), "s3cret");
}

#[test]
fn brokers_are_known_by_an_authority() {
    let given = "nats = \"tls://n:4222\"\n";
    let config = from_toml(&format!(
        "{given}[nats_tls]\nca = \"ca.crt\"\ncertificate = \"tls.crt\"\nkey = \"tls.key\""
    ));
    let Ok(Config { nats: Broker::Given(nats), .. }) = config else { panic!("{config:?}") };
    let tls = nats.tls.unwrap();
    assert_eq!((tls.ca, tls.identity), ("ca.crt".into(), Some(("tls.crt".into(), "tls.key".into()))));
    for (text, key) in [
        (format!("{given}nats_tls = {{ ca = \"ca\", key = \"k\" }}"), "nats_tls.key"),
        (format!("{given}nats_tls = {{ ca = \"ca\", certificate = \"c\" }}"), "nats_tls.certificate"),
        ("nats_tls = { ca = \"ca\" }".to_owned(), "nats_tls"),
    ] {
        let error = from_toml(&text).unwrap_err();
        assert!(error.contains(&format!("- {key}: ")), "{error}");
    }
}

#[test]
fn the_mail_log_is_on_standard_output_and_kept_for_a_week() {
    let log = from_toml("").unwrap().mail_log;
    assert!(log.stdout && !log.connections && !log.otlp && log.file.is_none() && log.webhook.is_none());
    assert_eq!(log.kept.map(|kept| (kept.age.as_secs(), kept.bytes)), Some((7 * 24 * 3_600, 1 << 31)));
    let config = from_toml("[mail_log]\nstream = false\nfile = \"mail.log\"\nfile_keep = 3\n").unwrap();
    let file = config.mail_log.file.unwrap();
    assert_eq!((file.max_bytes, file.keep, config.topology.mail_log), (104_857_600, 3, None));
}

#[test]
fn sinks_of_the_mail_log_that_could_not_work_are_refused() {
    let error = from_toml(
        "[mail_log]\nstream = false\nwebhook = \"https://siem.example/\"\notlp = true\nkeep_days = 0\nfile_max_bytes = 1",
    )
    .unwrap_err();
    for key in ["webhook", "otlp", "keep_days", "file_max_bytes"] {
        assert_eq!(error.matches(&format!("- mail_log.{key}: ")).count(), 1, "{key} in {error}");
    }
    let error = from_toml("[mail_log]\nwebhook_token_file = \"token\"").unwrap_err();
    assert!(error.contains("mail_log.webhook is missing"), "{error}");
}

#[test]
fn spans_are_made_for_a_collector_only() {
    assert!(from_toml("trace_sample_ratio = 1.0").unwrap().telemetry.traces.is_none());
    let rate = |text| from_toml(text).map(|config| config.telemetry.traces.unwrap().rate.to_string());
    assert_eq!(rate("otlp_endpoint = \"http://c:4317\"").unwrap(), "20/s");
    assert_eq!(rate("otlp_endpoint = \"http://c:4317\"\ntrace_rate = \"9/m\"").unwrap(), "9/m");
    let refused = rate("otlp_endpoint = \"http://c:4317\"\ntrace_rate = \"often\"").unwrap_err().to_string();
    assert!(refused.contains("trace_rate") && refused.contains("often"), "{refused}");
    let traces =
        from_toml("otlp_endpoint = \"http://c:4317\"\ntrace_queue_spans = 100").unwrap().telemetry.traces;
    let traces = traces.unwrap();
    assert_eq!((traces.queue, traces.batch), (100, 100));
    for (key, text) in [
        ("otlp_endpoint", "otlp_endpoint = \"c:4317\""),
        ("otlp_ca", "otlp_ca = \"a.pem\""),
        ("otlp_ca", "otlp_endpoint = \"http://c:4317\"\notlp_ca = \"a.pem\""),
        ("otlp_headers_file", "otlp_headers_file = \"headers\""),
        ("trace_batch_spans", "trace_queue_spans = 100\ntrace_batch_spans = 101"),
    ] {
        let error = from_toml(text).unwrap_err();
        assert!(error.contains(&format!("- {key}: ")), "{text}: {error}");
    }
}
