//! `people.toml`

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rollbot_core::PersonId;
use rollbot_core::approval::{Account, People, Person};
use toml::Spanned;

use super::reader::{Alphabet, Reader, Within, items};
use crate::written;

/// Every group that somebody is in.
pub(crate) type Groups = BTreeSet<String>;

const ID: Alphabet = Alphabet {
    also: "-._",
    upper_case: false,
    longest: 64,
    in_words: "lower case letters, digits, `-`, `.` and `_`, a letter or digit first",
};

const GROUP: Alphabet = Alphabet {
    in_words: "lower case letters, digits, `-`, `.` and `_`",
    ..ID
};

const ACCOUNT: Alphabet = Alphabet {
    also: "-._",
    upper_case: true,
    longest: 64,
    in_words: "letters, digits, `-`, `.` and `_`",
};

pub(crate) fn groups(written: &written::People) -> Groups {
    items(&written.person)
        .flat_map(|person| items(&person.get_ref().groups))
        .map(|group| group.get_ref().clone())
        .collect()
}

pub(crate) fn people(reader: &Reader, written: &written::People) -> Option<People> {
    let file = Within {
        span: None,
        name: "people.toml".to_owned(),
    };
    let list = reader.need(&file, "person", "at least one [[person]]", &written.person)?;
    if list.get_ref().is_empty() {
        reader.problem(list.span(), "there is nobody in this list");
    }
    let mut seen = Seen::default();
    let all: Vec<_> = items(&written.person)
        .filter_map(|person| one(reader, person, &mut seen))
        .collect();
    if !reader.is_clean() {
        return None;
    }
    match People::new(all) {
        Ok(people) => Some(people),
        Err(error) => {
            reader.problem_in(&file, error.to_string(), None);
            None
        }
    }
}

/// Where ids and accounts stood first.
#[derive(Default)]
struct Seen {
    ids: BTreeMap<String, Range<usize>>,
    accounts: BTreeMap<Account, (String, Range<usize>)>,
    emails: BTreeMap<String, (String, Range<usize>)>,
}

fn one(reader: &Reader, person: &Spanned<written::Person>, seen: &mut Seen) -> Option<Person> {
    let written = person.get_ref();
    let within = Within {
        span: Some(person.span()),
        name: match written.id.get() {
            Some(id) => format!("person `{id}`"),
            None => "[[person]]".to_owned(),
        },
    };
    let id = reader
        .need(&within, "id", "a word that never changes", &written.id)
        .and_then(|id| {
            let name = reader.name(id, "a person's id", ID)?;
            if let Some(first) = seen.ids.get(&name) {
                let message = format!(
                    "`{name}` is listed twice: first on {}",
                    reader.line_of(first)
                );
                reader.problem(id.span(), message);
                return None;
            }
            seen.ids.insert(name.clone(), id.span());
            Some(name)
        });
    let name = reader
        .need(&within, "name", "what people call them", &written.name)
        .and_then(|name| reader.line(name));
    let owner = id.clone().unwrap_or_default();
    let email = match written.email.spanned() {
        Some(email) => address(reader, email, &owner, seen).map(Some),
        None => Some(None),
    };
    let groups = reader.names(&written.groups, "a group", GROUP);
    let accounts = accounts(reader, &within, written, &owner, seen);
    Some(Person {
        id: PersonId(id?),
        name: name?,
        email: email?,
        accounts,
        groups: groups.into_iter().map(Spanned::into_inner).collect(),
    })
}

/// Enough to keep line breaks out of mail headers; whether it exists only a mail can tell.
fn address(
    reader: &Reader,
    email: &Spanned<String>,
    owner: &str,
    seen: &mut Seen,
) -> Option<String> {
    let text = email.get_ref();
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && !"<>,;:\"()[]\\".contains(c);
    let good = text.len() <= 254
        && text.chars().all(fits)
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
    if !good {
        let message = format!("`{text}` is not an e-mail address: write it as ana@example.org");
        reader.problem(email.span(), message);
        return None;
    }
    if let Some((other, first)) = seen.emails.get(&text.to_lowercase()) {
        let message = format!("`{text}` already is the address of `{other}`");
        reader.problem_with(
            email.span(),
            message,
            format!("first on {}", reader.line_of(first)),
        );
        return None;
    }
    seen.emails
        .insert(text.to_lowercase(), (owner.to_owned(), email.span()));
    Some(text.clone())
}

fn accounts(
    reader: &Reader,
    within: &Within,
    written: &written::Person,
    owner: &str,
    seen: &mut Seen,
) -> Vec<Account> {
    let mut accounts = Vec::new();
    let mut add = |platform: &str, team: String, user: String, part: Range<usize>| {
        let account = Account {
            platform: platform.to_owned(),
            team,
            user,
        };
        if let Some((other, first)) = seen.accounts.get(&account) {
            reader.problem_with(
                part,
                format!(
                    "`{}` on {platform} already belongs to `{other}`",
                    account.user
                ),
                format!(
                    "first on {}; one human counts once, so an account has one owner",
                    reader.line_of(first)
                ),
            );
            return;
        }
        seen.accounts
            .insert(account.clone(), (owner.to_owned(), part));
        accounts.push(account);
    };
    if let Some(slack) = written.slack.spanned() {
        let inner = Within {
            span: Some(slack.span()),
            name: format!("slack of {}", within.name),
        };
        let id = |key, what, given| {
            let text = reader.need(&inner, key, what, given)?;
            reader.name(text, "a Slack account", ACCOUNT)
        };
        let team = id(
            "team",
            "the team's id, such as T024BE7LD",
            &slack.get_ref().team,
        );
        let user = id(
            "user",
            "the member's id, such as U023BECGF",
            &slack.get_ref().user,
        );
        if let (Some(team), Some(user)) = (team, user) {
            add("slack", team, user, slack.span());
        }
    }
    if let Some(discord) = written.discord.spanned() {
        let text = discord.get_ref();
        // A name could be taken over by somebody else; the number never is.
        if (15..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            add("discord", String::new(), text.clone(), discord.span());
        } else {
            reader.problem_with(
                discord.span(),
                format!("`{text}` is not a Discord user id"),
                "it is a number such as 302050872383242240, and not the name",
            );
        }
    }
    if let Some(unix) = written.unix.spanned()
        && let Some(login) = reader.name(unix, "a login", ACCOUNT)
    {
        add("unix", String::new(), login, unix.span());
    }
    if let (Some(console), Some(_)) = (
        written
            .console
            .spanned()
            .filter(|console| *console.get_ref()),
        written.id.get(),
    ) && !owner.is_empty()
    {
        add("console", String::new(), owner.to_owned(), console.span());
    }
    accounts
}
