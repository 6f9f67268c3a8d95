package containerd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// advice is what makes containerd require the plugin.
const advice = "; install 99-countersign.toml as the last import, with every required plugin in its list"

// Required returns nil if containerd refuses containers while an NRI plugin is not registered, or why it does not. The
// plugin may be required by its name or by its index and name.
func (c *Config) Required(index, name string) error {
	return cmp.Or(c.ServesNRI(), c.Validates(), c.Lists(index, name), c.Tolerates())
}

// ServesNRI returns why no NRI plugin can connect to containerd, or nil.
func (c *Config) ServesNRI() error {
	if slices.Contains(c.merged.DisabledPlugins, nriPlugin) {
		return fmt.Errorf("%s and its imports disable the plugin %s, and so NRI", c.path, nriPlugin)
	}
	if c.NRIDisabled() {
		return fmt.Errorf("%s and its imports disable NRI: containers start unchecked", c.path)
	}
	if disabled, _ := c.plugin(nriPlugin)["disable_connections"].(bool); disabled {
		return fmt.Errorf("%s and its imports set disable_connections of NRI: no plugin can register at its socket, "+
			"as countersign does", c.path)
	}
	return nil
}

// Validates returns why NRI's default validator, which requires plugins, is not enabled, or nil.
func (c *Config) Validates() error {
	section := c.plugin(nriPlugin)
	if section == nil {
		return fmt.Errorf("%s and its imports do not configure NRI%s", c.path, advice)
	}
	validator, _ := section["default_validator"].(map[string]any)
	if enabled, _ := validator["enable"].(bool); !enabled {
		return fmt.Errorf("%s and its imports do not enable NRI's default_validator%s", c.path, advice)
	}
	return nil
}

// Lists returns an error unless a plugin is in the list of required plugins.
func (c *Config) Lists(index, name string) error {
	validator, _ := c.plugin(nriPlugin)["default_validator"].(map[string]any)
	required, _ := validator["required_plugins"].([]any)
	if slices.Contains(required, any(name)) || slices.Contains(required, any(index+"-"+name)) {
		return nil
	}
	return fmt.Errorf("required_plugins of %s and its imports is %v, without %q%s", c.path, required, name, advice)
}

// Tolerates returns an error if the author of a pod can opt out of required plugins.
func (c *Config) Tolerates() error {
	validator, _ := c.plugin(nriPlugin)["default_validator"].(map[string]any)
	if annotation, _ := validator["tolerate_missing_plugins_annotation"].(string); annotation != "" {
		return errors.New("tolerate_missing_plugins_annotation is set: the author of a pod can opt out of required plugins")
	}
	return nil
}

// Replaced returns an error if a file lists the plugin as required, and a later one has another list without it. It
// returns nil if the files are not known.
func (c *Config) Replaced(index, name string) error {
	listed := ""
	for i, path := range c.files {
		required, isSet := c.lists[i].names, c.lists[i].isSet
		switch {
		case !isSet:
		case slices.Contains(required, name) || slices.Contains(required, index+"-"+name):
			listed = path
		case listed != "":
			return fmt.Errorf("%s requires %s, and the list %v of %s, which is read later, replaces it", listed, name, required,
				path)
		}
	}
	return nil
}

// list is required_plugins in one file.
type list struct {
	names []string
	isSet bool
}

// requiredIn returns the list in the document of one file.
func requiredIn(document map[string]any) (found list) {
	at := document
	for _, key := range []string{"plugins", nriPlugin, "default_validator"} {
		at, _ = at[key].(map[string]any)
	}
	values, isSet := at["required_plugins"].([]any)
	for _, value := range values {
		found.names = append(found.names, text(value, ""))
	}
	found.isSet = isSet
	return found
}

// Timeouts of NRI in containerd v2.4.2, and what a plugin needs at least.
const (
	defaultRegistration = 5 * time.Second
	defaultRequest      = 2 * time.Second
	minRegistration     = time.Second
	// answerMargin is the time that a request and its answer need besides the decision.
	answerMargin = 250 * time.Millisecond
)

// Waits returns an error if containerd's NRI may disconnect a plugin that decides within a time.
func (c *Config) Waits(decision time.Duration) error {
	section := c.plugin(nriPlugin)
	request := duration(section["plugin_request_timeout"], defaultRequest)
	if least := decision + answerMargin; request < least {
		return fmt.Errorf("plugin_request_timeout is %s, and decisions may take %s: containerd disconnects the plugin and "+
			"refuses the container; at least %s is needed", request, decision, least)
	}
	registration := duration(section["plugin_registration_timeout"], defaultRegistration)
	if registration < minRegistration {
		return fmt.Errorf("plugin_registration_timeout is %s: a busy node may not register the plugin in that time; at "+
			"least %s is needed", registration, minRegistration)
	}
	return nil
}

// duration returns a duration in a configuration; zero is the default.
func duration(value any, otherwise time.Duration) time.Duration {
	if set, err := time.ParseDuration(text(value, "")); err == nil && set != 0 {
		return set
	}
	return otherwise
}
