//! Discord as a [`ChatPlatform`](rollbot_chat::ChatPlatform).
