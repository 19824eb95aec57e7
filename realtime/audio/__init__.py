"""Playing: the engine and its safety stage, the PortAudio callback, the stream process and who keeps it alive, devices.

`live_engine.LiveEngine` plays between devices, `engine.Engine` block by block without any, `render.render` files.
Nothing is imported here: parts of it must start without the compiler.
"""
