"""Why a connection over an overlay network was reset, dropped or stalled."""
