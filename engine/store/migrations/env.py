"""Called by Alembic, with the connection that `running` has put there."""

from alembic import context

from engine.store.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,  # SQLite, too: the transaction is begun and ended outside
    user_module_prefix="base.",
)
context.run_migrations()
