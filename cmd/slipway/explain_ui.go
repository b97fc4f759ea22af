package main

import "slipway/internal/web"

// uiRows explain errors of the web UI.
var uiRows = []row{
	as("public address", codeUsage, always[*web.PublicError](
		"Pass --listen 127.0.0.1:PORT: the page acts with your kubeconfig, and has no login.")),
}
