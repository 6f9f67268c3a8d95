// Package nri puts containerd's question and returns our answer: it is an NRI plugin that validates containers about
// to be created, and nothing else.
//
// It decides in ValidateContainerAdjustment and subscribes to no other event on the way of a container. A plugin that
// answers CreateContainer too late is cut off and the container runs; one that answers the validation too late has the
// container refused (containerd 2.4.2 and NRI 0.12.5, both measured). With default_validator.required_plugins in
// containerd's configuration no container is created while the plugin is away either.
//
// The path of a request: [Plugin.Run] registers and stays registered; a [Creation] is what containerd says of a
// container; [Handler] checks its root filesystem, has it decided, and puts the verdict into words for the pod's
// author.
package nri
