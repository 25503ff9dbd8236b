#!/bin/sh
# Writes what sqlx's macros need to know of every query into .sqlx, so that a build needs no database.
# Run it after a change to a query or a migration, and commit what changed.
#
#   ./prepare.sh           refresh .sqlx
#   ./prepare.sh --check   change nothing; fail if .sqlx does not fit the queries and migrations
#
# Needs the `sqlite3` command (3.37 or newer) and cargo.
set -eu

case "${1:-}" in
    "" | --check) ;;
    *) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac
command -v sqlite3 >/dev/null || {
    echo "$0: the sqlite3 command is missing: install it (Debian: apt-get install sqlite3)" >&2
    exit 1
}

crate=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
mkdir "$work/sqlx"

for migration in "$crate"/migrations/*.sql; do
    sqlite3 -bail "$work/schema.db" <"$migration" >/dev/null
done

# The macros run when the crate is compiled, and cargo does not see that the variables changed.
touch "$crate/src/lib.rs"
(
    cd "$crate"
    DATABASE_URL="sqlite:$work/schema.db" SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$work/sqlx" \
        cargo check --quiet --lib
)

if [ "${1:-}" = --check ]; then
    if ! diff -r "$crate/.sqlx" "$work/sqlx"; then
        echo "$0: .sqlx does not fit the queries and migrations: run $0 and commit .sqlx" >&2
        exit 1
    fi
    echo ".sqlx fits the queries and migrations"
else
    mkdir -p "$crate/.sqlx"
    rm -f "$crate"/.sqlx/query-*.json
    cp "$work"/sqlx/query-*.json "$crate/.sqlx/"
    echo "$(ls "$crate/.sqlx" | wc -l) queries written to .sqlx"
fi
