//! Reactions: the bot's own, and who else reacted.

use serde_json::{Value, json};

use super::answers::{Answered, Refusal, Reply};
use super::objects::emoji_json;
use super::rest::Call;
use super::world::{ChannelKind, Reaction, World, permission};

/// Guild and direct message reactions.
const INTENTS: (u64, u64) = (1 << 10, 1 << 13);

pub(super) fn route(
    world: &mut World,
    call: &Call<'_>,
    channel: u64,
    message: u64,
    rest: &[&str],
) -> Answered {
    let may = world.may(channel)?;
    if may & permission::READ_MESSAGE_HISTORY == 0 {
        return Err(Refusal::missing_permissions());
    }
    let found = world
        .message(channel, message)
        .ok_or_else(Refusal::unknown_message)?;
    let bot = world.bot;
    match (call.method, rest) {
        ("PUT", [emoji, "@me"]) => {
            let known = found.reactions.iter().any(|one| one.emoji == *emoji);
            if !known && may & permission::ADD_REACTIONS == 0 {
                return Err(Refusal::missing_permissions());
            }
            if emoji.is_ascii() && !emoji.contains(':') {
                return Err(Refusal::new(400, 10014, "Unknown Emoji"));
            }
            world.react(bot, channel, message, emoji, false, true);
            Ok(Reply::Empty)
        }
        ("DELETE", [emoji, "@me"]) => {
            world.react(bot, channel, message, emoji, false, false);
            Ok(Reply::Empty)
        }
        ("GET", [emoji]) => {
            let burst = call.query("type") == Some("1");
            let after = call.number("after").unwrap_or(0);
            let limit = call.number("limit").unwrap_or(25).clamp(1, 100);
            let mut users: Vec<u64> = found
                .reactions
                .iter()
                .filter(|one| one.emoji == *emoji && one.burst == burst && one.user > after)
                .map(|one| one.user)
                .collect();
            users.sort_unstable();
            users.truncate(usize::try_from(limit).unwrap_or(100));
            Reply::ok(users.into_iter().map(|id| world.user_of(id)).collect())
        }
        _ => Err(Refusal::no_route()),
    }
}

impl World {
    /// Puts a reaction on or takes it off; says so to everybody who listens. Whether that changed
    /// anything.
    pub fn react(
        &mut self,
        user: u64,
        channel: u64,
        message: u64,
        emoji: &str,
        burst: bool,
        on: bool,
    ) -> bool {
        let reaction = Reaction {
            user,
            emoji: emoji.to_owned(),
            burst,
        };
        let Some(found) = self.message_mut(channel, message) else {
            return false;
        };
        let author = found.author;
        let standing = found.reactions.contains(&reaction);
        if standing == on {
            return false;
        }
        if on {
            found.reactions.push(reaction);
        } else {
            found.reactions.retain(|one| *one != reaction);
        }
        let direct = self
            .channels
            .get(&channel)
            .is_some_and(|channel| channel.kind == ChannelKind::Direct);
        let mut data = json!({
            "user_id": user.to_string(),
            "channel_id": channel.to_string(),
            "message_id": message.to_string(),
            "emoji": emoji_json(emoji),
            "burst": burst,
            "type": u8::from(burst),
        });
        if let Value::Object(fields) = &mut data {
            if !direct {
                fields.insert("guild_id".to_owned(), self.guild.to_string().into());
            }
            if on {
                fields.insert("message_author_id".to_owned(), author.to_string().into());
                fields.insert("burst_colors".to_owned(), json!([]));
                if let Some(user) = self.users.get(&user).filter(|_| !direct) {
                    fields.insert("member".to_owned(), self.member_json(user));
                }
            }
        }
        let event = match on {
            true => "MESSAGE_REACTION_ADD",
            false => "MESSAGE_REACTION_REMOVE",
        };
        let intent = if direct { INTENTS.1 } else { INTENTS.0 };
        self.emit(intent, event, &data);
        true
    }
}
