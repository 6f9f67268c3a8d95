package containerd

// nriPlugin has the settings of NRI.
const nriPlugin = "io.containerd.nri.v1.nri"

// NRIDisabled reports whether containerd runs without NRI.
func (c *Config) NRIDisabled() bool {
	disabled, _ := c.plugin(nriPlugin)["disable"].(bool)
	return disabled
}

// RequiredPlugins returns the NRI plugins without which containerd refuses every container; none if the validator that
// requires them is not enabled.
func (c *Config) RequiredPlugins() []string {
	validator, _ := c.plugin(nriPlugin)["default_validator"].(map[string]any)
	if enabled, _ := validator["enable"].(bool); !enabled {
		return nil
	}
	values, _ := validator["required_plugins"].([]any)
	var names []string
	for _, value := range values {
		names = append(names, text(value, ""))
	}
	return names
}

// NRISocket returns the socket of NRI.
func (c *Config) NRISocket() string {
	return text(c.plugin(nriPlugin)["socket_path"], "/var/run/nri/nri.sock")
}

// NRIPlugins returns the directory of the plugins that containerd starts.
func (c *Config) NRIPlugins() string {
	return text(c.plugin(nriPlugin)["plugin_path"], "/opt/nri/plugins")
}

// Verifiers returns the directory of image verifiers.
func (c *Config) Verifiers() string {
	return text(c.plugin(verifierPlugin)["bin_dir"], defaultVerifiers)
}

// Address returns the socket of containerd.
func (c *Config) Address() string {
	const standard = "/run/containerd/containerd.sock"
	server := text(c.plugin("io.containerd.server.v1.grpc")["address"], "")
	if server == "" {
		server = c.merged.GRPC.Address //nolint:staticcheck // Files of version 2 and 3 have it there.
	}
	if server == "" {
		return standard
	}
	return server
}
