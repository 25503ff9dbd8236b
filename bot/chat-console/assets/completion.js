// What may follow what somebody has typed. No page in here: text in, suggestions out.

const words = (text) => text.toLowerCase();

/**
 * {usage, items}: `usage` is the command that is written already, with what may follow it;
 * `items` are {label, rest, about, insert}, `insert` being the whole text with the suggestion in it.
 */
export function suggest(text, completions) {
  const none = { usage: null, items: [] };
  if (!text.startsWith("/") || text.includes("\n")) return none;
  const typed = words(text);
  const known = completions
    .filter((c) => typed === words(c.text) || typed.startsWith(`${words(c.text)} `))
    .sort((a, b) => b.text.length - a.text.length)[0];
  const starting = completions.filter((c) => words(c.text).startsWith(typed) && words(c.text) !== typed);
  const items = starting.map((c) => ({ label: c.text, rest: c.rest, about: c.about, insert: `${c.text} ` }));
  if (known) return { usage: known, items: [...options(text, known), ...items] };
  if (items.length > 0) return { usage: null, items };
  // Nothing begins like this: perhaps the name of the service was typed first.
  const sought = typed.slice(1).split(/\s+/u).filter(Boolean);
  const holding = sought.length === 0 ? [] : completions.filter((c) => sought.every((word) => words(c.text).includes(word)));
  return { usage: null, items: holding.map((c) => ({ label: c.text, rest: c.rest, about: c.about, insert: `${c.text} ` })) };
}

/** The options of a command that are not written yet: `[reason: …] [--dry-run]`. */
function options(text, known) {
  const written = words(text.slice(known.text.length));
  const begun = /(?:^|\s)(\S*)$/u.exec(written)?.[1] ?? "";
  // In the middle of a reason the page does not interfere.
  if (begun === "" && /\S/u.test(written) && !/--[a-z-]+\s$/u.test(written)) return [];
  const items = [];
  for (const [, option] of known.rest.matchAll(/\[([^\]]+)\]/gu)) {
    const [, head, more] = /^(\S+)\s*(.*)$/u.exec(option) ?? [null, option, ""];
    if (!/^(--[a-z]|[a-z-]+:)/u.test(head)) continue;
    if (written.includes(words(head)) && begun !== words(head)) continue;
    if (!words(head).startsWith(begun) || words(head) === begun) continue;
    const before = text.slice(0, text.length - begun.length);
    items.push({ label: head, rest: more, about: "", insert: `${before.trimEnd()} ${head}${more ? " " : ""}` });
  }
  return items;
}

/** Whether Enter should complete rather than send: the command is not whole yet. */
export const isUnfinished = (found) => found.usage === null && found.items.length > 0;
