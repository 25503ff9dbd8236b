//! Errors as people see them, each kind once.

use super::{PEOPLE, ROLLBOT, SERVICES, load, with_people, with_rollbot, with_services};

/// Adds lines after the line that begins so.
fn after(text: &str, line: &str, more: &str) -> String {
    let at = text.find(line).expect(line);
    let end = at + text[at..].find('\n').unwrap() + 1;
    format!("{}{more}\n{}", &text[..end], &text[end..])
}

/// Replaces the whole line that begins so.
fn instead(text: &str, line: &str, new: &str) -> String {
    let at = text.find(line).expect(line);
    let end = at + text[at..].find('\n').unwrap();
    format!("{}{new}{}", &text[..at], &text[end..])
}

/// A second service, in order on its own.
const DATA: &str = r#"
[[service]]
name = "data"
type = "data"
units = ["cryptobot-data"]
port = 9004
compose_project = "cryptobot"
compose_services = ["data"]
data_directory = "/opt/cryptobot/data"
registry = { key = "data", native = "n", docker = "d" }

[service.checks.health]
url = "http://127.0.0.1:9004/health"
"#;

#[test]
fn all_errors_of_all_files_are_told_at_once() {
    let rollbot = instead(
        ROLLBOT,
        "groups =",
        "groups = [\"aprovers\"]\nexpirey = \"5m\"",
    );
    let services = instead(SERVICES, "port =", "port = 90030\nuint = [\"x\"]");
    let people = instead(PEOPLE, "id = \"ben\"", "id = \"ana\"\nnmae = 3");
    insta::assert_snapshot!(
        "all_at_once",
        load(&rollbot, &services, &people).unwrap_err()
    );
}

#[test]
fn syntax_errors_are_told_with_their_places() {
    let rollbot = format!(
        "{}\n[bot]\nname = \"again\"\n",
        instead(ROLLBOT, "required", "required = = 2")
    );
    let people = instead(PEOPLE, "name = \"Ben\"", "name = \"Ben");
    let services = format!("{SERVICES}\nurl = \"http://127.0.0.1/\"\n");
    insta::assert_snapshot!("syntax", load(&rollbot, &services, &people).unwrap_err());
}

#[test]
fn empty_and_missing_files_are_told() {
    let empty = load("", "", "").unwrap_err();
    let none = super::loaded(std::path::Path::new("no-such-directory")).unwrap_err();
    insta::assert_snapshot!("empty", format!("{empty}\n\n{none}"));
}

#[test]
fn types_and_values_are_told_in_words() {
    insta::assert_snapshot!(
        "types_rollbot",
        with_rollbot(|text| {
            let text = after(text, "[bot]", "name = 5");
            let text = after(&text, "[backup]", "format = \"tar.zst\"\nreserve = 5");
            let text = instead(&text, "required", "required = \"two\"");
            let text = after(
                &text,
                "required = \"two\"",
                "requester_counts = \"no\"\nexpiry = \"15 minutes\"",
            );
            let text = instead(&text, "operations", "operations = \"console/ops\"");
            format!(
                "{text}\n[engine]\ncalls = -1\nmemory = \"64MB\"\ndeadline = 1.5\n\n\
             [log]\nlevel = \"verbose\"\n\n[process]\nmanager = \"launchd\"\n\n[store]\nkind = \"postgres\"\n"
            )
        })
    );
    insta::assert_snapshot!(
        "types_sections",
        with_rollbot(|text| {
            let text = text.replace(
                "[bot]\nproduct = \"Cryptobot\"\nsupport = \"support@cryptobot.example\"\n",
                "",
            );
            format!("bot = 3\ndocker_ = 1\n{text}\n[console_]\nx = 1\n")
        })
    );
}

#[test]
fn values_out_of_bounds_are_told() {
    insta::assert_snapshot!(
        "bounds",
        with_rollbot(|text| {
            let text = instead(text, "state_directory", "state_directory = \"var/lib\"");
            let text = instead(&text, "required", "required = 0\nexpiry = \"1s\"");
            let text = instead(
                &text,
                "support",
                "support = \"\"\nname = \"rollbot\\u001b[31m\"",
            );
            let text = instead(
                &text,
                "directory = \"/opt/cryptobot/backups\"",
                "directory = \"/opt/../etc\"",
            );
            format!(
                "{text}\n[engine]\nmemory = \"1KiB\"\nattempts = 0\nfuel = 5\n\n[status_update]\nevery = \"0s\"\n"
            )
        })
    );
}

#[test]
fn the_console_and_its_channels_are_checked() {
    insta::assert_snapshot!(
        "console",
        with_rollbot(|text| {
            let text = instead(
                text,
                "operations",
                "operations = [\"console/opps\", \"ops\", \"slak/ops\"]",
            );
            let text = instead(&text, "announcements", "announcements = []");
            text.replace("[[console.channel]]", "[console]\nlisten = \"localhost:8700\"\n\
            public_url = \"https://x.example/rollbot\"\nheader = \"X-User\"\n\n[[console.channel]]\nname = \"ops\"\n\n\
            [[console.channel]]\nname = \"Big Room\"\n\n[[console.channel]]")
        })
    );
    insta::assert_snapshot!(
        "console_access",
        with_rollbot(|text| {
            text.replace(
                "[[console.channel]]",
                "[console]\naccess = \"trusted-header\"\n\
            from = [\"10.0.0.0/33\", \"proxy\"]\n\n[[console.channel]]",
            )
        })
    );
    insta::assert_snapshot!(
        "console_off",
        with_rollbot(|text| {
            text.replace(
                "[[console.channel]]\nname = \"ops\"",
                "[console]\nenabled = false",
            )
        })
    );
}

#[test]
fn policies_that_nobody_could_fulfil_are_told() {
    insta::assert_snapshot!(
        "policy",
        [
            with_rollbot(|text| instead(text, "required", "required = 3")),
            with_rollbot(|text| instead(text, "groups", "groups = []")),
            with_rollbot(|text| instead(text, "groups", "groups = [\"approver\"]")),
            with_rollbot(|text| instead(text, "groups", "")),
            with_rollbot(|text| format!("{text}\n[break_glass]\nenabled = true\n")),
            with_rollbot(|text| format!("{text}\n[break_glass]\ngroups = [\"suport\"]\n")),
            with_services(|text| format!("{text}\n[service.approval]\ngroups = [\"support\"]\n")),
            with_services(|text| format!(
                "{text}\n[service.approval]\nrequired = 4\nrequester_counts = true\n"
            )),
        ]
        .join("\n\n")
    );
}

#[test]
fn processes_and_hosts_are_checked() {
    insta::assert_snapshot!("machine", [
        with_rollbot(|text| format!(
            "{text}\n[process]\nbus = \"/run/dbus\"\n\n[[process.unit]]\nname = \"x\"\nargv = [\"/x\"]\nlog = \"/x.log\"\n"
        )),
        with_rollbot(|text| format!("{text}\n[process]\nmanager = \"systemd\"\nbus = \"/run/dbus\"\n")),
        with_rollbot(|text| format!("{text}\n[process]\nmanager = \"commands\"\n")),
        with_rollbot(|text| format!(
            "{text}\n[process]\nmanager = \"commands\"\n\n[[process.unit]]\nname = \"cryptobot-trad\"\nargv = [\"/x\"]\nlog = \"/x.log\"\nport = 1\n\n\
             [[process.unit]]\nname = \"cryptobot-trad\"\nargv = []\nlog = \"x.log\"\nport = 0\n\n\
             [[process.unit]]\nname = \"cryptobot-trad\"\nargv = [\"/x\"]\nlog = \"/x.log\"\nport = 1\n"
        )),
        with_rollbot(|text| format!("{text}\n[host.local]\ntitle = \"prod\"\n\n[host.db-1]\ntitle = \"database\"\n")),
    ].join("\n\n"));
}

#[test]
fn services_are_checked_against_the_rest() {
    insta::assert_snapshot!(
        "services",
        [
            with_services(|text| instead(text, "type", "type = \"trading\"")),
            with_services(|text| instead(text, "name", "name = \"Trade\"\nhost = \"prod\"")),
            with_services(|text| instead(
                text,
                "compose_project",
                "compose_project = \"cryptobt\""
            )),
            with_services(|text| instead(text, "units", "").replace("port = 9003\n", "")),
            with_services(|text| instead(
                text,
                "registry",
                "registry = { key = \"a b\", native = \"n\" }"
            )),
            with_services(|text| instead(
                text,
                "compose_services",
                "compose_services = []\narchive_name = \"a/b\""
            )),
            with_services(|text| instead(
                text,
                "units",
                "units = [\"-H\", \"a\", \"a\"]\ncutover = \"yesterday\""
            )),
            with_services(|text| instead(
                text,
                "units",
                "units = [\"a\"]\ncutover = 2026-11-22T10:00:00"
            )),
            with_services(|text| instead(
                text,
                "units",
                "units = [\"a\"]\ncutover = { path = \"/x\" }"
            )),
            with_services(|text| format!(
                "{text}\n[service.settings]\nstop_grace = \"2s\"\nlist = [1]\n"
            )),
            with_services(|_| "[[service]]\n".to_owned()),
            with_services(|text| text.replace("checks.health", "checks.healthy")),
        ]
        .join("\n\n")
    );
}

#[test]
fn nothing_belongs_to_two_services() {
    insta::assert_snapshot!(
        "shared",
        [
            with_services(|text| format!(
                "{text}{}",
                DATA.replace("cryptobot-data", "cryptobot-trade")
                    .replace("port = 9004", "port = 9003")
                    .replace("[\"data\"]", "[\"trade\"]")
                    .replace("key = \"data\"", "key = \"trade\"")
                    .replace(
                        "port = 9003\n",
                        "port = 9003\narchive_name = \"trade_service\"\n"
                    )
            )),
            with_services(|text| format!(
                "{text}{}",
                DATA.replace("name = \"data\"", "name = \"trade\"")
            )),
        ]
        .join("\n\n")
    );
}

#[test]
fn checks_are_checked() {
    let check =
        |lines: &str| with_services(|text| format!("{text}\n[service.checks.api-x]\n{lines}\n"));
    insta::assert_snapshot!("checks", [
        check(""),
        check("url = \"127.0.0.1:9003/health\""),
        check("url = \"ftp://127.0.0.1\""),
        check("url = \"http://me:hunter2@127.0.0.1/\""),
        check("url = \"http://127.0.0.1/\"\nmethod = \"put\"\nstatus = 99\nwithin = \"1h\""),
        check("url = \"http://127.0.0.1/\"\nbody = \"{}\"\nidempotency_key = true"),
        check("url = \"http://127.0.0.1/\"\nmethod = \"post\"\nbody = \"{'a': 1}\""),
        check("url = \"http://127.0.0.1/\"\nmethod = \"head\"\nexpect = [{ pointer = \"/a\", exists = true }]"),
        check("url = \"http://127.0.0.1/\"\nexpect = [{ pointer = \"a\", exists = true }, { pointer = \"/a\" }, \
               { exists = true }, { pointer = \"/a\", exists = false }, { pointer = \"/a\", equal = 3 }, \
               { pointer = \"/a\", at_least = \"3\" }, { pointer = \"/a\", equals = nan }]"),
        check("url = \"http://127.0.0.1/\"\nheaders = { \"X Y\" = \"1\", X-Z = \"a\\nb\", X-W = \"{secret:x}\" }"),
        with_services(|text| text.replace("checks.health", "checks.Health_Check")),
    ].join("\n\n"));
}

#[test]
fn secrets_are_never_written_and_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let open = directory.path().join("open");
    std::fs::write(&open, "hunter2").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let header = |value: &str| {
        with_services(|text| {
            format!("{text}headers = {{ Authorization = {value}, Accept = \"text/plain\" }}\n")
        })
    };
    let shown = [
        header("\"Bearer hunter2\""),
        header("5"),
        header("{ env = \"TRADE_TOKEN\" }"),
        header("{ env = \"EMPTY\" }"),
        header("{ env = \"LINES\" }"),
        header("{ var = \"TRADE_TOKEN\" }"),
        header("{ env = \"TRADE_PAPER_TOKEN\", file = \"/x\" }"),
        header("{}"),
        header("{ file = \"token\" }"),
        header("{ file = \"/no/such/file\" }"),
        header(&format!("{{ file = {:?} }}", open.display().to_string())),
        with_services(|text| format!("{text}headers = {{ Authorization = \"Bearer hunter2\" }}\nurl_ = 1\n")),
        with_rollbot(|text| format!(
            "{text}\n[process]\nmanager = \"commands\"\n\n[[process.unit]]\nname = \"cryptobot-trade\"\nargv = [\"/x\"]\n\
             log = \"/x.log\"\nenvironment = {{ API_TOKEN = \"hunter2\", MODE = \"live\", \"A B\" = \"\" }}\n"
        )),
        // Not TOML, and shown without it all the same.
        with_services(|text| format!("{text}headers = {{ Authorization = \"Bearer hunter2 }}\n")),
    ]
    .join("\n\n")
    .replace(&directory.path().display().to_string(), "/directory");
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!("secrets", shown);
}

#[test]
fn grants_add_and_take_away_by_name_only() {
    let grants = |lines: &str| with_services(|text| format!("{text}\n[service.grants]\n{lines}\n"));
    insta::assert_snapshot!("grants", [
        grants("without = { units = [\"cryptobot-data\"], ports = [9004], directories = [\"/opt\"], \
                compose_services = { cryptobot = [\"data\"] } }"),
        grants("also = { units = [\"a b\"], ports = [0], directories = [\"tmp\"], urls = [\"x\"], \
                addresses = [\"127.0.0.1\"], registry_keys = [\"\"], compose_services = { other = [\"x\"] } }"),
        grants("also = {}"),
        grants("also = { unit = [\"x\"] }"),
        with_services(|text| {
            let text = instead(text, "type", "type = \"x\"");
            format!("{text}\n[service.grants]\nalso = {{ ports = [0] }}\n")
        }),
        grants("units = [\"x\"]"),
    ].join("\n\n"));
}

#[test]
fn people_are_checked() {
    insta::assert_snapshot!("people", [
        with_people(|text| instead(text, "id = \"ben\"", "id = \"ana\"")),
        with_people(|text| instead(text, "unix", "unix = \"cleo\"\nemail = \"cleo\"\ndiscord = \"cleo#1234\"\nslack = { team = \"T1\" }")),
        with_people(|text| {
            let text = instead(text, "name = \"Ben\"", "name = \"Ben\"\nunix = \"cleo\"\nemail = \"x@y.example\"");
            instead(&text, "name = \"Dan\"", "name = \"Dan\"\nemail = \"X@y.example\"")
        }),
        with_people(|text| instead(text, "id = \"dan\"", "id = \"Dan Mori\"\nconsole = \"yes\"")),
        with_people(|text| instead(text, "groups = [\"support\"]", "groups = [\"sup port\", \"a\", \"a\"]")),
        with_people(|text| instead(text, "name = \"Dan\"", "")),
    ].join("\n\n"));
}

#[test]
fn a_program_gets_the_errors_as_json() {
    let directory = tempfile::tempdir().unwrap();
    let rollbot = instead(ROLLBOT, "required", "required = 0");
    for (name, text) in [
        (crate::ROLLBOT, rollbot.as_str()),
        (crate::SERVICES, ""),
        (crate::PEOPLE, PEOPLE),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let errors = super::loaded(directory.path()).unwrap_err();
    let text = serde_json::to_string_pretty(&errors.to_json()).unwrap();
    insta::assert_snapshot!(
        "json",
        text.replace(&directory.path().display().to_string(), "config")
    );
}

#[test]
fn no_mutilated_file_makes_it_panic() {
    // Every line left out, and every file cut at many places: errors or none, never a panic.
    for (which, text) in [ROLLBOT, SERVICES, PEOPLE].into_iter().enumerate() {
        let with = |changed: &str| {
            let mut files = [ROLLBOT, SERVICES, PEOPLE];
            files[which] = changed;
            let _ = load(files[0], files[1], files[2]);
        };
        let lines: Vec<_> = text.lines().collect();
        for left_out in 0..lines.len() {
            let mut kept = lines.clone();
            kept.remove(left_out);
            with(&kept.join("\n"));
        }
        for cut in (0..text.len()).step_by(7) {
            with(&text[..cut]);
            with(&text[cut..]);
            with(&format!("{}日\u{0}\"=[{}", &text[..cut], &text[cut..]));
        }
    }
}

#[test]
fn a_wrong_default_policy_hides_no_error_of_a_service() {
    let rollbot = instead(ROLLBOT, "required", "required = 0");
    let services = format!("{SERVICES}\n[service.approval]\nexpiry = \"1s\"\ngroups = [\"x\"]\n");
    insta::assert_snapshot!(
        "policy_hides_nothing",
        load(&rollbot, &services, PEOPLE).unwrap_err()
    );
}

#[test]
fn chat_platforms_need_their_credentials_and_ids() {
    let text = with_rollbot(|text| {
        let text = instead(
            text,
            "operations =",
            "operations = [\"slack/ops\", \"discord/ops\", \"slak/C024BE91L\"]",
        );
        format!(
            r#"{text}
[slack]
api_url = "slack.com"
bot_token = {{ env = "NOT_THERE" }}
signing_secret = {{ env = "TRADE_PAPER_TOKEN" }}
sockets = 1

[discord]
way = "http"
token = "abc"
application = "my-app"
guild = "0"
public_key = "12"

[webhooks]
listen = "8701"
"#
        )
    });
    insta::assert_snapshot!("platforms", text);
}

#[test]
fn messages_to_a_platform_without_credentials_are_refused() {
    let text = with_rollbot(|text| {
        instead(
            text,
            "announcements =",
            "announcements = [\"slack/C024BE91L\", \"discord/302050872383242240\"]",
        )
    });
    insta::assert_snapshot!("platforms_missing", text);
}
