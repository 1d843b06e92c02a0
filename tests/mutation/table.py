"""The table: which tests are to kill the mutants of which module."""

from typing import Final

__all__ = ["TESTS"]

_TRANSACTION: Final = (
    "smtp/test_outcome.py",
    "smtp/test_transaction.py",
    "smtp/test_transaction_modes.py",
    "smtp/test_transaction_naming.py",
    "smtp/test_chunking.py",
    "smtp/test_group.py",
    "smtp/test_begun.py",
)
_SESSION: Final = ("smtp/test_connection.py", "smtp/test_states.py")
_RETRIEVAL: Final = ("pop3/test_connection.py", "pop3/test_authorization.py", "pop3/test_transaction.py")
_POP3_SESSION: Final = (
    *_RETRIEVAL,
    *("pop3/test_quirks.py", "pop3/test_capabilities.py", "pop3/test_faults.py", "pop3/test_findings.py"),
    *("pop3/test_secrets.py", "pop3/test_refusals.py", "pop3/test_events.py"),
    *("pop3/test_limits.py", "pop3/test_states.py", "pop3/test_challenges.py"),
)
_SENDING: Final = (
    *("aio/test_sending.py", "aio/test_parts.py", "aio/test_sources.py", "aio/test_smtp.py", "aio/test_lmtp.py"),
    *("aio/test_flights.py", "aio/test_whole_message.py"),
)
_BULK: Final = (
    *_SENDING,
    "aio/test_bulk_sending.py",
    "aio/test_bulk_turns.py",
    "aio/test_bulk_ends.py",
    "aio/test_chain.py",
    "aio/test_chain_cuts.py",
)
_POOL: Final = (
    "aio/test_pool.py",
    "aio/test_pool_sending.py",
    "aio/test_pool_ends.py",
    "aio/test_pool_cancellation.py",
)
_RUNS: Final = (
    *("aio/test_retrieval.py", "aio/test_retrieval_progress.py", "aio/test_replay.py", "aio/test_deletion.py"),
    *("aio/test_pop3_sessions.py", "aio/test_pop3.py", "aio/test_pop3_settings.py", "aio/test_preview.py"),
    *("aio/test_pop3_dialogue.py", "aio/test_pop3_deadlines.py", "aio/test_overrun.py"),
)
_MAILS: Final = (
    *(*_BULK, *_POOL, "aio/test_mailing.py", "aio/test_arguments.py"),
    *("aio/test_passage.py", "aio/test_client.py", "aio/test_authentication.py", "aio/test_cancellation.py"),
)

TESTS: Final[dict[str, tuple[str, ...]]] = {
    # What guards the wire.
    "_wire/text": ("_wire/test_text.py",),
    "smtp/paths": ("smtp/test_paths.py",),
    "smtp/parameters": ("smtp/test_parameters.py", "smtp/test_commands.py", "smtp/test_options.py"),
    "smtp/xtext": ("smtp/test_xtext.py",),
    "smtp/commands": ("smtp/test_commands.py",),
    "smtp/options": ("smtp/test_options.py",),
    "message/addresses": ("message/test_addresses.py",),
    "pop3/commands": ("pop3/test_commands.py",),
    "pop3/transaction": ("pop3/test_transaction.py", "pop3/test_commands.py", "pop3/test_connection.py"),
    "pop3/authorization": ("pop3/test_authorization.py", "pop3/test_commands.py"),
    "endpoint": ("test_endpoint.py", "aio/test_arguments.py"),
    # The gate to TLS.
    "smtp/rules": ("smtp/test_rules.py", "smtp/test_begun.py"),
    "aio/initiation": (
        *("aio/test_client.py", "aio/test_smtp.py", "aio/test_authentication.py", "aio/test_lmtp.py"),
        "aio/test_sending.py::test_requiretls_wants_tls_with_a_server_that_has_proved_its_name",
        "aio/test_sending.py::test_requiretls_is_nothing_to_ask_of_a_server_that_proves_nothing",
    ),
    "aio/tls": ("aio/test_tls.py", "aio/test_client.py"),
    "aio/authentication": (
        *("aio/test_authentication.py", "aio/test_tokens.py"),
        "aio/test_client.py::test_a_password_does_not_cross_an_open_link_unasked_for",
    ),
    "aio/dialogue": (
        *("aio/test_dialogue.py", "aio/test_sending.py", "aio/test_smtp.py", "aio/test_flights.py", "aio/test_lmtp.py"),
        *("aio/test_chain.py", "aio/test_bulk_sending.py", "aio/test_authentication.py", "aio/test_client.py"),
        "aio/test_silence.py",
    ),
    "aio/stream_opening": ("aio/test_stream.py", "aio/test_tls.py", "aio/test_session.py"),
    "aio/stream": (
        *("aio/test_stream.py", "aio/test_tls.py", "aio/test_session.py", "aio/test_unix_socket.py"),
        *("aio/test_noise.py", "aio/test_silence.py", "aio/test_sending.py"),
    ),
    "aio/session": (
        *("aio/test_session.py", "aio/test_pop3_dialogue.py", "aio/test_pop3_deadlines.py"),
        "aio/test_tls.py",
        "aio/test_client.py::test_who_waits_when_the_connection_is_cut_is_not_told_that_the_server_left",
    ),
    "aio/authorization": (
        *("aio/test_authorization.py", "aio/test_pop3.py", "aio/test_pop3_settings.py"),
        "aio/test_authentication.py",
    ),
    "aio/client": (
        *("aio/test_client.py", "aio/test_arguments.py"),
        "aio/test_authentication.py::test_a_login_by_hand_is_refused_as_a_login",
        "aio/test_retrieval.py::test_what_is_left_unanswered_is_read_by_the_next_call",
    ),
    "smtp/connection": (*_SESSION, "smtp/test_secrets.py", *_TRANSACTION),
    "pop3/connection": _POP3_SESSION,
    "pop3/answers": _POP3_SESSION,
    # What says whether a mail was sent.
    "smtp/delivery": ("smtp/test_delivery.py", *_TRANSACTION),
    "smtp/outcome": _TRANSACTION,
    "smtp/transaction": _TRANSACTION,
    "smtp/receipt": ("smtp/test_receipt.py", *_TRANSACTION),
    "smtp/answers": (*_SESSION, *_TRANSACTION),
    "smtp/group": _TRANSACTION,
    "smtp/grouped_pipeline": _TRANSACTION,
    "smtp/opening": _TRANSACTION,
    "smtp/message_writing": (*_SESSION, *_TRANSACTION),
    "smtp/transactions": ("smtp/test_transactions.py", *_TRANSACTION),
    "smtp/mail_data": ("smtp/test_mail_data.py", *_TRANSACTION),
    "smtp/limits": ("smtp/test_limits.py",),
    "smtp/chunking_defects": ("smtp/test_chunking_defects.py",),
    "smtp/states": _SESSION,
    "errors": ("test_errors.py",),
    "error_record": ("test_error_record.py",),
    "message/envelope": ("message/test_envelope.py",),
    "one_call/sending": ("test_front.py", "aio/test_lmtp.py", "aio/test_mailing.py"),
    "aio/mailing": ("aio/test_mailing.py", "aio/test_arguments.py", "aio/test_smtp.py", "aio/test_pool.py"),
    "aio/sending": _MAILS,
    "aio/passage": _MAILS,
    "aio/writing": _MAILS,
    "aio/reading": ("aio/test_reading.py", "aio/test_sources.py", "aio/test_sending.py"),
    "aio/happy_eyeballs": ("aio/test_happy_eyeballs.py",),
    "aio/tokens": ("aio/test_tokens.py",),
    "aio/unix_socket": ("aio/test_unix_socket.py", "aio/test_stream.py"),
    "aio/smtp": (
        *("aio/test_smtp.py", "aio/test_lmtp.py", "aio/test_client.py", "aio/test_arguments.py", "aio/test_mailing.py"),
        *("aio/test_bulk_sending.py", "aio/test_bulk_turns.py", "aio/test_bulk_ends.py", "aio/test_authentication.py"),
        *("aio/test_sending.py", "aio/test_cancellation.py"),
    ),
    "aio/chain": _MAILS,
    "aio/consignment": (
        *("aio/test_consignment.py", "aio/test_arguments.py", "aio/test_mailing.py", "aio/test_bulk_sending.py"),
        *("aio/test_bulk_turns.py", "aio/test_bulk_ends.py", "aio/test_pool_sending.py"),
    ),
    "aio/bulk_sending": _MAILS,
    "aio/holding": ("aio/test_holding.py", "aio/test_bulk_turns.py", "aio/test_retrieval.py"),
    "aio/turn": ("aio/test_turn.py", "aio/test_bulk_turns.py", "aio/test_bulk_ends.py"),
    "aio/pool": (*_POOL, "aio/test_mailing.py", "aio/test_arguments.py", "aio/test_bulk_ends.py"),
    "aio/pool_connections": ("aio/test_pool_connections.py", *_POOL),
    "aio/pool_opening": ("aio/test_pool_opening.py", *_POOL),
    "aio/pool_sending": _MAILS,
    "aio/pool_share": ("aio/test_pool_share.py", *_POOL),
    "aio/waiter": ("aio/test_waiter.py",),
    "aio/rate": ("aio/test_rate.py",),
    "aio/deadline": ("aio/test_deadline.py",),
    "aio/pace": ("aio/test_pace.py", "aio/test_pop3_deadlines.py"),
    # What says whether a message was deleted, and whether it is whole.
    "aio/deletion": ("aio/test_deletion.py", "aio/test_pop3_sessions.py"),
    "aio/pop3_transaction": (
        *("aio/test_deletion.py", "aio/test_pop3_sessions.py", "aio/test_pop3.py"),
        *("aio/test_pop3_settings.py", "aio/test_retrieval.py"),
    ),
    "aio/pop3_dialogue": (
        *("aio/test_pop3_dialogue.py", "aio/test_pop3_deadlines.py", "aio/test_retrieval.py", "aio/test_deletion.py"),
        *("aio/test_pop3_sessions.py", "aio/test_pop3.py"),
    ),
    "aio/retrieval": _RUNS,
    "aio/asking": _RUNS,
    "aio/pop3": (
        *("aio/test_pop3.py", "aio/test_preview.py", "aio/test_deletion.py", "aio/test_pop3_sessions.py"),
        *("aio/test_retrieval.py", "aio/test_retrieval_progress.py", "aio/test_pop3_settings.py"),
    ),
    "aio/pop3_sessions": (
        *("aio/test_pop3_sessions.py", "aio/test_deletion.py", "aio/test_pop3.py", "aio/test_pop3_settings.py"),
        *("aio/test_replay.py", "aio/test_retrieval.py", "aio/test_client.py", "aio/test_authorization.py"),
        *("aio/test_authentication.py", "aio/test_arguments.py"),
    ),
    "aio/retrieved_item": (
        *("aio/test_retrieval.py", "aio/test_retrieval_progress.py", "aio/test_replay.py"),
        *("aio/test_deletion.py", "aio/test_pop3_sessions.py"),
    ),
    "aio/batch": ("aio/test_batch.py",),
    "aio/pop3_settings": ("aio/test_pop3_settings.py",),
    "aio/preview": ("aio/test_preview.py",),
    "aio/retrieval_progress": ("aio/test_retrieval_progress.py",),
    "aio/whole_message": ("aio/test_whole_message.py",),
    "aio/overrun": ("aio/test_overrun.py",),
    # What reads replies and writes mail.
    "_wire/lines": ("_wire/test_lines.py",),
    "_wire/dots": ("_wire/test_dots.py", "smtp/test_mail_data.py"),
    "_wire/pipeline": ("_wire/test_pipeline.py",),
    "_wire/keywords": ("_wire/test_keywords.py",),
    "_wire/mapping": ("_wire/test_mapping.py",),
    "_wire/trace": ("_wire/test_trace.py",),
    "smtp/reply": ("smtp/test_reply.py", "smtp/test_receipt.py", "smtp/test_group.py"),
    "smtp/extensions": ("smtp/test_extensions.py",),
    "smtp/events": ("smtp/test_events.py",),
    "smtp/queue_id": ("smtp/test_queue_id.py",),
    # The rest of the core.
    "sasl/exchange": ("sasl/test_exchange.py",),
    "sasl/challenges": ("sasl/test_challenges.py",),
    "sasl/choice": ("sasl/test_choice.py",),
    "sasl/scram": ("sasl/test_scram.py",),
    "sasl/oauth": ("sasl/test_oauth.py",),
    "sasl/cram_md5": ("sasl/test_cram_md5.py",),
    "sasl/plain": ("sasl/test_plain.py",),
    "sasl/credentials": ("sasl/test_credentials.py",),
    "sasl/login": ("sasl/test_login.py",),
    "sasl/external": ("sasl/test_external.py",),
    "sasl/anonymous": ("sasl/test_anonymous.py",),
    "sasl/fields": ("sasl/test_fields.py",),
    "sasl/keys": ("sasl/test_keys.py",),
    "sasl/saslprep": ("sasl/test_saslprep.py",),
    "sasl/redaction": ("sasl/test_redaction.py",),
    "sasl/channel_binding": ("sasl/test_channel_binding.py",),
    "pop3/states": ("pop3/test_states.py",),
    "pop3/events": ("pop3/test_events.py",),
    "pop3/quirks": ("pop3/test_quirks.py",),
    "pop3/limits": ("pop3/test_limits.py",),
    "pop3/response": ("pop3/test_response.py",),
    "pop3/capabilities": ("pop3/test_capabilities.py",),
    "pop3/refusals": ("pop3/test_refusals.py",),
    "pop3/faults": _POP3_SESSION,
    "pop3/listings": ("pop3/test_listings.py",),
    "pop3/listing_reader": ("pop3/test_listings.py",),
    "pop3/survey": ("pop3/test_survey.py",),
    "pop3/columns": ("pop3/test_columns.py",),
    "pop3/fingerprint": ("pop3/test_fingerprint.py",),
    "pop3/challenges": ("pop3/test_challenges.py", "pop3/test_quirks.py"),
    "pop3/gathering": ("pop3/test_gathering.py",),
    "pop3/findings": _POP3_SESSION,
    "pop3/body": ("pop3/test_body.py", *_POP3_SESSION),
    # What says whether mail in a maildrop is deleted, and that it was stored before.
    "maildrop/deletion_plan": ("maildrop/test_deletion_plan.py", "maildrop/test_plan.py"),
    "maildrop/plan": ("maildrop/test_plan.py", "maildrop/test_run.py"),
    "maildrop/ledger": ("maildrop/test_ledger.py", "maildrop/test_ledger_model.py", "maildrop/test_plan.py"),
    "maildrop/maildir": (
        *("maildrop/test_maildir.py", "maildrop/test_sink.py"),
        "maildrop/test_durability.py::test_files_are_opened_so_that_windows_changes_no_line_end",
    ),
    "maildrop/mbox": (
        *("maildrop/test_mbox.py", "maildrop/test_sink.py"),
        "maildrop/test_durability.py::test_files_are_opened_so_that_windows_changes_no_line_end",
    ),
    "maildrop/naming": ("maildrop/test_naming.py", "maildrop/test_plan.py"),
    "maildrop/delivery": ("maildrop/test_delivery.py",),
    "maildrop/loop_lock": ("maildrop/test_loop_lock.py",),
    # What retrieves by one call, and shows what was said.
    "one_call/retrieving": ("test_front.py", "maildrop/test_front.py"),
    "transcript": ("test_transcript.py",),
    # What makes a message ready to be sent.
    "message/source": ("message/test_source.py",),
    "message/outgoing": ("message/test_outgoing.py",),
    "message/survey": ("message/test_survey.py",),
    "message/compose": ("message/test_compose.py",),
}
