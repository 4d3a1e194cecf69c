// Package config turns the environment into one validated [Config].
//
// A setting is an environment variable COMFYGATE_<SECTION>__<KEY>. One table (table.go) is the single truth: [Load] reads it,
// [Docs] describes it, [Show] prints it, and a variable with our prefix that is not in it is an error. Nothing is guessed: what is
// unknown, empty or out of bounds is an error, and every fault is told at once ([SettingsError]).
//
// The package touches neither the process nor the disk: it is handed the environment and a way to read files.
package config
