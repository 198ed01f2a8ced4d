"""Order management: risk, arbitration, paper matching, ledger."""
