// The module chainguard.dev/sdk, whose version that Fulcio's tests import is not available from module proxies. Only
// go mod tidy reads it: no program imports it.
module chainguard.dev/sdk

go 1.26.6
