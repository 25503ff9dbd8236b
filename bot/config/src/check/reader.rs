//! Reading one file's values, and noting what is wrong with them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use rollbot_command::nearest;
use toml::Spanned;

use crate::decode::TakenOut;
use crate::problem::Problem;
use crate::source::Source;
use crate::written::{Given, Table};

/// One file, and everything found wrong with it so far.
pub(crate) struct Reader {
    source: Source,
    taken_out: Vec<TakenOut>,
    problems: RefCell<Vec<Problem>>,
}

/// A table of the file, for messages about what it lacks.
#[derive(Debug, Clone)]
pub(crate) struct Within {
    /// `None` where the file has no such table, and for the file itself.
    pub span: Option<Range<usize>>,
    /// `[bot]`, `service trade`
    pub name: String,
}

impl Within {
    pub fn new<T>(name: impl Into<String>, table: &Given<T>) -> Self {
        Self {
            span: table.span(),
            name: name.into(),
        }
    }
}

/// What a name may consist of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alphabet {
    /// Beside letters and digits of ASCII.
    pub also: &'static str,
    pub upper_case: bool,
    pub longest: usize,
    /// "letters, digits and hyphens"
    pub in_words: &'static str,
}

impl Alphabet {
    /// What is handed to other programs must not look like an option or a path.
    pub fn fits(&self, name: &str) -> bool {
        (1..=self.longest).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && name.chars().all(|c| {
                c.is_ascii_lowercase()
                    || c.is_ascii_digit()
                    || (self.upper_case && c.is_ascii_uppercase())
                    || self.also.contains(c)
            })
    }
}

impl Reader {
    pub fn new(source: Source) -> Self {
        Self {
            source,
            taken_out: Vec::new(),
            problems: RefCell::default(),
        }
    }

    /// After decoding: keys that were there, and what was wrong with them.
    pub fn note(&mut self, taken_out: Vec<TakenOut>, problems: Vec<Problem>) {
        self.taken_out = taken_out;
        self.problems.get_mut().extend(problems);
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    pub fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    pub fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    pub fn problem(&self, part: Range<usize>, message: impl Into<String>) {
        self.add(Problem::at(&self.source, part, message));
    }

    pub fn problem_with(
        &self,
        part: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Problem::at(&self.source, part, message).help(help));
    }

    pub fn problem_in(&self, within: &Within, message: impl Into<String>, help: Option<String>) {
        let problem = match &within.span {
            Some(span) => Problem::at(&self.source, span.clone(), message),
            None => Problem::of_file(&self.source, message),
        };
        self.add(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }

    fn add(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// `line 12`
    pub fn line_of(&self, part: &Range<usize>) -> String {
        format!("line {}", self.source.position(part.start).line)
    }

    /// The value of a key that must be there. `what` completes "is missing: ".
    pub fn need<'g, T>(
        &self,
        within: &Within,
        key: &str,
        what: &str,
        given: &'g Given<T>,
    ) -> Option<&'g Spanned<T>> {
        if !given.is_given() && !self.was_taken_out(within, key) {
            let message = format!("{} needs `{key}`: {what}", within.name);
            self.problem_in(within, message, None);
        }
        given.spanned()
    }

    /// Whether something of the table could not be decoded: then it is not known what it lacks.
    pub fn lost_something(&self, within: &Within) -> bool {
        self.taken_out.iter().any(|out| out.table == within.span)
    }

    /// Whether the key is there with a value that could not be decoded.
    pub fn was_taken_out(&self, within: &Within, key: &str) -> bool {
        self.taken_out
            .iter()
            .any(|out| out.key == key && out.table == within.span)
    }

    /// A table of the file that may be left out. `None` where it is there but is no table.
    pub fn section<'g, T: Default + Clone>(
        &self,
        key: &str,
        given: &'g Given<T>,
    ) -> Option<(Within, Cow<'g, T>)> {
        let file = Within {
            span: None,
            name: String::new(),
        };
        if self.was_taken_out(&file, key) {
            return None;
        }
        let within = Within::new(format!("[{key}]"), given);
        Some((
            within,
            given
                .get()
                .map_or_else(|| Cow::Owned(T::default()), Cow::Borrowed),
        ))
    }

    /// An absolute path that does not climb.
    pub fn path(&self, path: &Spanned<PathBuf>) -> Option<PathBuf> {
        let shown = path.get_ref().display();
        if !path.get_ref().is_absolute() {
            let message = format!("`{shown}` is not an absolute path: begin it with `/`");
            self.problem(path.span(), message);
            return None;
        }
        self.steady(path)
    }

    /// A path, absolute or not, that does not climb.
    pub fn steady(&self, path: &Spanned<PathBuf>) -> Option<PathBuf> {
        let value: &Path = path.get_ref();
        if value.as_os_str().is_empty() {
            self.problem(path.span(), "the path is empty");
            return None;
        }
        if value
            .to_str()
            .is_none_or(|text| text.chars().any(char::is_control))
        {
            self.problem(path.span(), "the path holds control characters");
            return None;
        }
        if value.components().any(|part| part == Component::ParentDir) {
            let message = format!(
                "`{}` goes up by `..`: write the path it leads to",
                value.display()
            );
            self.problem(path.span(), message);
            return None;
        }
        Some(value.to_owned())
    }

    pub fn path_or(&self, path: &Given<PathBuf>, default: Option<PathBuf>) -> Option<PathBuf> {
        match path.spanned() {
            Some(path) => self.path(path),
            None => default,
        }
    }

    /// A text for people: one line, not empty, without control characters.
    pub fn line(&self, text: &Spanned<String>) -> Option<String> {
        const LONGEST: usize = 200;
        let value = text.get_ref().trim();
        let problem = match () {
            () if value.is_empty() => "this must not be empty".to_owned(),
            () if rollbot_command::visible(value) != value => {
                "this holds control characters, or blanks that are no spaces".to_owned()
            }
            () if value.chars().count() > LONGEST => {
                format!("this has more than {LONGEST} characters")
            }
            () => return Some(value.to_owned()),
        };
        self.problem(text.span(), problem);
        None
    }

    /// A name. `what` is what has it: "a unit".
    pub fn name(&self, text: &Spanned<String>, what: &str, alphabet: Alphabet) -> Option<String> {
        let value = text.get_ref();
        if alphabet.fits(value) {
            return Some(value.clone());
        }
        self.problem_with(
            text.span(),
            format!("`{value}` is no name for {what}"),
            format!("allowed: 1 to {} {}", alphabet.longest, alphabet.in_words),
        );
        None
    }

    pub fn names(
        &self,
        list: &Given<Vec<Given<String>>>,
        what: &str,
        alphabet: Alphabet,
    ) -> Vec<Spanned<String>> {
        let mut names = Vec::new();
        for text in items(list) {
            if let Some(name) = self.name(text, what, alphabet) {
                names.push(Spanned::new(text.span(), name));
            }
        }
        self.no_repeats(&names);
        names
    }

    pub fn no_repeats<T: PartialEq + Display>(&self, list: &[Spanned<T>]) {
        for (index, item) in list.iter().enumerate() {
            if list
                .iter()
                .take(index)
                .any(|other| other.get_ref() == item.get_ref())
            {
                self.problem(item.span(), format!("`{}` is listed twice", item.get_ref()));
            }
        }
    }

    /// Notes that a word is none of those that are known. `what` is what it should be: "group".
    pub fn unknown<'k>(
        &self,
        word: &Spanned<String>,
        what: &str,
        known: impl IntoIterator<Item = &'k str>,
        help: &str,
    ) {
        let known: Vec<_> = known.into_iter().collect();
        let near = nearest(word.get_ref(), known.iter().copied())
            .map(|near| format!(": did you mean `{near}`?"))
            .unwrap_or_default();
        let message = format!("there is no {what} `{}`{near}", word.get_ref());
        let listed = match known.is_empty() {
            true => "none".to_owned(),
            false => known.join(", "),
        };
        self.problem_with(word.span(), message, format!("{help}: {listed}"));
    }

    /// A number within bounds.
    pub fn within<T>(&self, number: &Spanned<T>, least: T, most: T) -> Option<T>
    where
        T: PartialOrd + Display + Copy,
    {
        let value = *number.get_ref();
        if value >= least && value <= most {
            return Some(value);
        }
        self.problem(
            number.span(),
            format!("`{value}` is out of bounds: give {least} to {most}"),
        );
        None
    }
}

/// The items of a list, or none.
pub(crate) fn items<T>(list: &Given<Vec<Given<T>>>) -> impl Iterator<Item = &Spanned<T>> {
    list.get().into_iter().flatten().filter_map(Given::spanned)
}

/// The rows of a table of tables, or none.
pub(crate) fn rows<T>(
    table: &Given<Table<T>>,
) -> impl Iterator<Item = (&Spanned<String>, &Given<T>)> {
    table.get().into_iter().flatten()
}
