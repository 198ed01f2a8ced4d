"""What is to run and for whom: accounts, strategies, and who follows them."""

from engine.deployments.accounts import Accounts, configured
from engine.deployments.served import Served
from engine.deployments.strategies import NewStrategy, Strategies

__all__ = ["Accounts", "NewStrategy", "Served", "Strategies", "configured"]
