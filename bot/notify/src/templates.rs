//! The templates: found, checked at start, rendered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use handlebars::Handlebars;
use handlebars::template::{Template, TemplateElement};

use crate::words::{
    AnnouncementWords, ApprovalWords, DetailWords, LiveWords, NoticeWords, QuestionWords, Words,
};

/// A template of the product: its name, its text, and values to check it with.
pub struct Spec {
    pub name: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
    builtin: &'static str,
    samples: fn() -> Vec<serde_json::Value>,
}

fn samples<W: Words>() -> Vec<serde_json::Value> {
    W::samples()
        .into_iter()
        .filter_map(|words| serde_json::to_value(words).ok())
        .collect()
}

macro_rules! spec {
    ($name:literal, $words:ty, $about:literal) => {
        Spec {
            name: $name,
            about: $about,
            builtin: include_str!(concat!("../../../templates/", $name, ".hbs")),
            samples: samples::<$words>,
        }
    };
}

/// Every template there is.
pub const TEMPLATES: &[Spec] = &[
    spec!("approval", ApprovalWords, "asks for votes on a plan"),
    spec!("plan", ApprovalWords, "shows a plan nobody is asked about"),
    spec!("live", LiveWords, "the one live message of a run"),
    spec!("detail", DetailWords, "a line in the thread of a run"),
    spec!(
        "question",
        QuestionWords,
        "a paused operation asks what to do"
    ),
    spec!(
        "maintenance",
        AnnouncementWords,
        "T1, to users: maintenance has begun"
    ),
    spec!("update", AnnouncementWords, "T3, to users: it still lasts"),
    spec!("restored", AnnouncementWords, "T2, to users: all clear"),
    spec!(
        "ended",
        AnnouncementWords,
        "to users: ended without an all-clear"
    ),
    spec!("notice", NoticeWords, "a notice to operators"),
    spec!("answer", NoticeWords, "the answer to a command"),
];

/// One thing wrong with one template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template {file}{}: {problem}", .line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct TemplateError {
    /// The file, or `NAME.hbs (built in)`.
    pub file: String,
    pub line: Option<usize>,
    pub problem: String,
}

/// All that is wrong with the templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateErrors(pub Vec<TemplateError>);

impl std::fmt::Display for TemplateErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for TemplateErrors {}

/// How text of others is made harmless on a platform.
pub type Escape = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// The checked templates, ready for every platform.
pub struct Templates {
    sources: BTreeMap<&'static str, (String, String)>,
    by_platform: BTreeMap<String, Handlebars<'static>>,
    origin: BTreeMap<&'static str, Option<PathBuf>>,
}

/// A message longer than this is of no use to anybody, and over every platform's limit.
const LONGEST: usize = 40_000;

impl Templates {
    /// Reads the built-in templates, or the file of the same name below `overrides`, and checks
    /// each against its variables.
    ///
    /// # Errors
    /// Everything wrong with any of them: a syntax error, an unknown variable or helper, an
    /// unescaped `{{{…}}}`, a file that belongs to no template.
    pub fn load(overrides: Option<&Path>) -> Result<Self, TemplateErrors> {
        let mut errors = Vec::new();
        let mut sources = BTreeMap::new();
        let mut origin = BTreeMap::new();
        for spec in TEMPLATES {
            let path = overrides.map(|folder| folder.join(format!("{}.hbs", spec.name)));
            match path {
                Some(path) if path.exists() => match std::fs::read_to_string(&path) {
                    Ok(text) => {
                        sources.insert(spec.name, (path.display().to_string(), text));
                        origin.insert(spec.name, Some(path));
                    }
                    Err(error) => errors.push(TemplateError {
                        file: path.display().to_string(),
                        line: None,
                        problem: format!("cannot be read: {error}"),
                    }),
                },
                _ => {
                    let file = format!("{}.hbs (built in)", spec.name);
                    sources.insert(spec.name, (file, spec.builtin.to_owned()));
                    origin.insert(spec.name, None);
                }
            }
        }
        if let Some(folder) = overrides {
            errors.extend(strangers(folder));
        }
        let templates = Self {
            sources,
            by_platform: BTreeMap::new(),
            origin,
        };
        let plain: Escape = Arc::new(str::to_owned);
        let registry = templates.registry(plain, &mut errors);
        for spec in TEMPLATES {
            let Some((file, _)) = templates.sources.get(spec.name) else {
                continue;
            };
            if !registry.has_template(spec.name) {
                continue;
            }
            for values in (spec.samples)() {
                if let Err(error) = registry.render(spec.name, &values) {
                    let problem = explain(&error.reason().to_string());
                    let found = TemplateError {
                        file: file.clone(),
                        line: error.line_no,
                        problem,
                    };
                    if !errors.contains(&found) {
                        errors.push(found);
                    }
                }
            }
        }
        if errors.is_empty() {
            Ok(templates)
        } else {
            Err(TemplateErrors(errors))
        }
    }

    fn registry(&self, escape: Escape, errors: &mut Vec<TemplateError>) -> Handlebars<'static> {
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        registry.register_escape_fn(move |text| escape(text));
        for (name, (file, text)) in &self.sources {
            match Template::compile(text) {
                Ok(template) => {
                    if unescaped(&template) {
                        errors.push(TemplateError {
                            file: file.clone(),
                            line: text.lines().position(|l| l.contains("{{{") || l.contains("{{&")).map(|l| l + 1),
                            problem: "writes a value without escaping it: use {{…}}, never {{{…}}} or {{&…}}".to_owned(),
                        });
                    }
                    registry.register_template(name, template);
                }
                Err(error) => {
                    let (line, reason) = (
                        error.pos().map(|(line, _)| line),
                        explain(&error.reason().to_string()),
                    );
                    errors.push(TemplateError {
                        file: file.clone(),
                        line,
                        problem: reason,
                    });
                }
            }
        }
        registry
    }

    /// Makes the templates ready for a platform.
    pub fn add_platform(&mut self, platform: &str, escape: Escape) {
        // What is wrong with them was found when they were loaded.
        let registry = self.registry(escape, &mut Vec::new());
        self.by_platform.insert(platform.to_owned(), registry);
    }

    /// The message in the platform's Markdown, with blank lines tidied.
    ///
    /// # Errors
    /// An unknown platform or template, or variables that are not the template's.
    pub fn render(
        &self,
        platform: &str,
        template: &str,
        variables: &serde_json::Value,
    ) -> Result<String, TemplateError> {
        let problem = |line, problem| TemplateError {
            file: self
                .sources
                .get(template)
                .map_or(template, |(file, _)| file)
                .to_owned(),
            line,
            problem,
        };
        let registry = self
            .by_platform
            .get(platform)
            .ok_or_else(|| problem(None, format!("no platform `{platform}` is configured")))?;
        let text = registry
            .render(template, variables)
            .map_err(|error| problem(error.line_no, explain(&error.reason().to_string())))?;
        let mut text = tidy(&text);
        if text.len() > LONGEST {
            let mut end = LONGEST;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push_str("\n\n… the rest is too long to show here.");
        }
        Ok(text)
    }

    /// A template's sample values, for `rollbot template render`.
    pub fn sample(name: &str) -> Option<serde_json::Value> {
        TEMPLATES
            .iter()
            .find(|spec| spec.name == name)
            .and_then(|spec| (spec.samples)().into_iter().next())
    }

    /// Where a template comes from: `None` when it is the built-in one.
    pub fn origin(&self, name: &str) -> Option<&Path> {
        self.origin.get(name).and_then(|path| path.as_deref())
    }
}

/// Files in the override folder that override nothing: most likely a misspelled name.
fn strangers(folder: &Path) -> Vec<TemplateError> {
    let error = |file: String, problem: String| TemplateError {
        file,
        line: None,
        problem,
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(why) => {
            return vec![error(
                folder.display().to_string(),
                format!("cannot be read: {why}"),
            )];
        }
    };
    let known = || {
        TEMPLATES
            .iter()
            .map(|spec| spec.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "hbs"))
        .filter(|path| {
            let stem = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            !TEMPLATES.iter().any(|spec| spec.name == stem)
        })
        .map(|path| {
            error(
                path.display().to_string(),
                format!("overrides no template: they are {}", known()),
            )
        })
        .collect()
}

/// Whether any part of the template writes a value as it is.
fn unescaped(template: &Template) -> bool {
    template.elements.iter().any(|element| match element {
        TemplateElement::HtmlExpression(_) => true,
        TemplateElement::HelperBlock(helper) => {
            helper.template.as_ref().is_some_and(unescaped)
                || helper.inverse.as_ref().is_some_and(unescaped)
        }
        _ => false,
    })
}

fn explain(reason: &str) -> String {
    if let Some(name) = reason.strip_prefix("Failed to access variable in strict mode ") {
        let name = name
            .trim_start_matches("Some(")
            .trim_end_matches(')')
            .trim_matches('"');
        return format!("uses the variable `{name}`, which this template does not have");
    }
    // The parser lists all that it would have understood, which helps nobody.
    match reason.split_once(": expected ") {
        Some(_) => "is not understood here: is a block not closed, or a brace missing?".to_owned(),
        None => reason.to_owned(),
    }
}

/// At most one blank line in a row, none at the ends: conditional parts leave gaps behind.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = 0;
    for line in text.lines() {
        if line.trim().is_empty() {
            blank += 1;
            continue;
        }
        if blank > 0 && !out.is_empty() {
            out.push('\n');
        }
        blank = 0;
        out.push_str(line);
        out.push('\n');
    }
    while out.ends_with('\n') {
        out.pop();
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn loaded() -> Templates {
        let mut templates = Templates::load(None).unwrap();
        templates.add_platform("console", Arc::new(|text: &str| text.replace('*', "\\*")));
        templates
    }

    #[test]
    fn every_built_in_template_reads_well() {
        let templates = loaded();
        for spec in TEMPLATES {
            for (number, values) in (spec.samples)().into_iter().enumerate() {
                let text = templates.render("console", spec.name, &values).unwrap();
                insta::assert_snapshot!(format!("{}-{number}", spec.name), text);
            }
        }
    }

    #[test]
    fn values_are_escaped_for_the_platform() {
        let words = NoticeWords {
            text: "**bold**".into(),
            ..NoticeWords::default()
        };
        let text = loaded()
            .render("console", "answer", &serde_json::to_value(words).unwrap())
            .unwrap();
        assert_eq!(text, "\\*\\*bold\\*\\*");
    }

    #[test]
    fn an_override_is_checked_and_says_where_it_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("live.hbs", "fine\n{{no_such_variable}}\n");
        write("detail.hbs", "{{#if text}}\nnever closed");
        write("notice.hbs", "ok\n{{{text}}}");
        write("aproval.hbs", "x");
        let errors = Templates::load(Some(folder.path())).err().unwrap();
        let text = errors
            .to_string()
            .replace(&folder.path().display().to_string(), "FOLDER");
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn an_override_takes_the_place_of_the_built_in_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("detail.hbs"), "ours: {{text}}").unwrap();
        let mut templates = Templates::load(Some(folder.path())).unwrap();
        templates.add_platform("console", Arc::new(|text: &str| text.to_owned()));
        let words = serde_json::to_value(DetailWords {
            text: "hi".into(),
            ..Default::default()
        });
        assert_eq!(
            templates
                .render("console", "detail", &words.unwrap())
                .unwrap(),
            "ours: hi"
        );
    }
}
