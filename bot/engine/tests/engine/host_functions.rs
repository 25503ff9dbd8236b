//! The plugin API and the table of host functions say the same.

use std::collections::BTreeMap;

use rollbot_core::journal::HOST_FUNCTIONS;

/// Of each function that plugins import: its class, and whether all it takes is an effect's name.
fn declared() -> BTreeMap<String, (String, bool)> {
    let mut functions = BTreeMap::new();
    let (mut interface, mut class) = ("", "");
    for line in include_str!("../../../../wit/rollbot.wit").lines() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("interface ") {
            interface = rest.trim_end_matches(" {");
        } else if let Some((_, said)) = line.split_once("Class: ") {
            class = said.split(['.', ';']).next().unwrap();
        } else if let Some((name, signature)) = line.split_once(": func(")
            && interface != "procedures"
        {
            let name = format!("{interface}.{}", name.trim_start_matches('%'));
            let by_effect = signature.starts_with("effect: string)");
            functions.insert(name, (class.to_owned(), by_effect));
            class = "";
        }
    }
    functions
}

#[test]
fn every_imported_function_is_in_the_table_with_its_class() {
    let table: BTreeMap<_, _> = HOST_FUNCTIONS
        .iter()
        .map(|known| {
            (
                known.name.to_owned(),
                (known.class.as_str().to_owned(), known.by_effect),
            )
        })
        .collect();
    assert_eq!(declared(), table);
}
